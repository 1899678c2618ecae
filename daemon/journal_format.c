#include "journal_format.h"

#include <string.h>

#include "crc32c.h"

void journal_file_seal(struct journal_file *file)
{
    file->crc = crc32c(0, file, offsetof(struct journal_file, crc));
}

void journal_block_seal(struct journal_block *block)
{
    block->crc = crc32c(0, block, offsetof(struct journal_block, crc));
}

static uint32_t record_crc(const struct journal_record *record, size_t size)
{
    const size_t skip = sizeof record->crc;
    return crc32c(0, (const uint8_t *)record + skip, size - skip);
}

void journal_record_seal(struct journal_record *record)
{
    size_t padded = journal_padded(record->size);
    memset((uint8_t *)record + record->size, 0, padded - record->size);
    record->crc = record_crc(record, padded);
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

const char *journal_file_fault(const struct journal_file *file)
{
    if (file->magic != JOURNAL_MAGIC)
        return "this is no journal of polygond";
    if (file->version != JOURNAL_VERSION)
        return "a journal of another version";
    if (file->crc != crc32c(0, file, offsetof(struct journal_file, crc)))
        return "the file's header is damaged";
    if (file->header_size < sizeof *file || file->header_size > 65536 || file->header_size % 8 ||
        !ends(file->instance, sizeof file->instance) || !ends(file->program, sizeof file->program))
        return "the file's header is impossible";
    return NULL;
}

const char *journal_block_fault(const struct journal_block *block)
{
    if (block->magic != JOURNAL_BLOCK_MAGIC)
        return "no block begins here";
    if (block->crc != crc32c(0, block, offsetof(struct journal_block, crc)))
        return "a block's header is damaged";
    if (block->header_size != sizeof *block || block->bytes > JOURNAL_BLOCK_MAX || block->bytes % 8 ||
        block->records > block->bytes / sizeof(struct journal_record) ||
        (block->records == 0) != (block->bytes == 0))
        return "a block's header is impossible";
    return NULL;
}

const char *journal_record_fault(const struct journal_record *record, size_t room)
{
    if (room < sizeof *record)
        return "a record is cut short";
    if (record->size < sizeof *record || record->size > JOURNAL_RECORD_MAX)
        return "a record's length is damaged";
    if (journal_padded(record->size) > room)
        return "a record is cut short";
    if (record->crc != record_crc(record, journal_padded(record->size)))
        return "a record is damaged";
    return NULL;
}

const char *journal_kind_name(unsigned kind)
{
    switch (kind) {
#define X(id, number, what)                                                                                  \
    case JOURNAL_##id:                                                                                       \
        return #id;
#include "journal.def"
#undef X
    default:
        return NULL;
    }
}
