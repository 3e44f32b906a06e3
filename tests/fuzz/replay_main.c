/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target over given files and directories, for compilers without libFuzzer: the corpus as a regression
 * test.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

static unsigned inputs;

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = malloc(INPUT_MAX);

	if (!f || !bytes) {
		perror(path);
		exit(5);
	}
	size_t size = fread(bytes, 1, INPUT_MAX, f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	inputs++;
}

static void run_directory(const char *path)
{
	DIR *d = opendir(path);
	char file[4096];

	if (!d) {
		perror(path);
		exit(5);
	}
	for (struct dirent *entry; (entry = readdir(d));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		run_file(file);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	struct stat status;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &status)) {
			perror(argv[i]);
			return 5;
		}
		if (S_ISDIR(status.st_mode))
			run_directory(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
