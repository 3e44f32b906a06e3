/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slots of a batch are one anonymous mapping, in large pages where the kernel has them.
 */
#include "io/batch.h"

#include <string.h>
#include <sys/mman.h>

/* Not a power of two: the headers of neighbouring slots must not all fall into the same set of the first-level cache.
 */
enum { SLOT_SIZE = BATCH_HEADROOM + 65536 + 15 * 64 };

static const size_t memory_size = (size_t)SLOT_SIZE * BATCH_PACKETS;

bool batch_open(struct batch *batch)
{
	memset(batch, 0, sizeof(*batch));
	batch->memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (batch->memory == MAP_FAILED) {
		batch->memory = NULL;
		return false;
	}
	/* Only a wish: kernels without large pages say no, and all still works. */
	(void)madvise(batch->memory, memory_size, MADV_HUGEPAGE);
	return true;
}

void batch_close(struct batch *batch)
{
	if (batch->memory)
		munmap(batch->memory, memory_size);
	batch->memory = NULL;
	batch->count = 0;
}

uint8_t *batch_slot(const struct batch *batch, uint32_t index)
{
	return batch->memory + (size_t)index * SLOT_SIZE + BATCH_HEADROOM;
}
