/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests on the control socket. */
#include "control/control_request.h"

const char *control_request_read(struct control_request *request, const char *line, size_t length)
{
	bool in_word = false;

	request->count = 0;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	if (length >= sizeof(request->text))
		return "the line is too long";
	for (size_t i = 0; i < length; i++) {
		if (line[i] != ' ' && (line[i] < 0x21 || line[i] > 0x7e))
			return "the line holds bytes that are not printable ASCII";
		request->text[i] = line[i] == ' ' ? '\0' : line[i];
		if (line[i] != ' ' && !in_word) {
			if (request->count == REQUEST_WORDS_MAX)
				return "the line has more words than any verb takes";
			request->words[request->count++] = &request->text[i];
		}
		in_word = line[i] != ' ';
	}
	request->text[length] = '\0';
	return request->count > 0 ? NULL : "the line is empty: try help";
}
