/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Standard input, output and error of this process.
 */
#ifndef CULVERT_IO_STANDARD_FILES_H
#define CULVERT_IO_STANDARD_FILES_H

/*
 * Who was started without standard files would open something else in their place: messages would go to a device, and
 * answers to a socket. What stands there after this call cannot be written to, which is an error like others. To be
 * called before anything is opened.
 */
void standard_files_occupy(void);

#endif
