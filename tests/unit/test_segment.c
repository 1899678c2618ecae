#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "instance.h"
#include "shm/atomic.h"
#include "shm/tape.h"
#include "shm/wake.h"

#define SIZE     UINT64_C(65536)
#define NOTIFY   offsetof(struct pgd_tape, notify)
#define NO_GROUP ((gid_t)-1)

static const struct pgd_field fields[] = {
    {.name = "t", .unit = "ns", .offset = 16, .record = PGD_REC_SLOT, .type = PGD_I64, .count = 1},
    {.name = "price", .offset = 24, .record = PGD_REC_SLOT, .type = PGD_F64, .count = 1},
};

static struct pgd_tape_geometry geometry = {.tape_offset = 1024, .capacity = 256};

static struct pgd_layout layout_of(uint64_t size)
{
    return (struct pgd_layout){.name = "plain",
                               .kind = PGD_KIND_TAPE,
                               .size = size,
                               .geometry = &geometry,
                               .geometry_size = sizeof geometry,
                               .fields = fields,
                               .field_count = 2};
}

static struct pgd_map own(const struct pgd_owner *owner, uint64_t size)
{
    struct pgd_map map;
    struct pgd_layout layout = layout_of(size);
    assert_int_equal(pgd_segment_own(&map, owner, &layout), 0);
    return map;
}

static struct pgd_map own_published(uint64_t epoch, uint64_t size)
{
    struct pgd_owner owner = instance_owner(epoch);
    struct pgd_map map = own(&owner, size);
    pgd_segment_publish(&map, epoch);
    return map;
}

static int attach(struct pgd_map *ret)
{
    return pgd_segment_attach(ret, instance(), "plain", PGD_KIND_TAPE);
}

static void names(void **state)
{
    (void)state;
    char name[PGD_SHM_NAME_MAX];
    assert_int_equal(pgd_shm_name(name, "main", "bars.1m"), 0);
    assert_string_equal(name, "/polygond.main.bars.1m");
    static const char *const bad[] = {
        "", "A", "a/b", "a.b", "..", "a b", "0123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(pgd_instance_valid(bad[i]));
        assert_int_equal(pgd_shm_name(name, bad[i], "board"), -EINVAL);
    }
    assert_true(pgd_instance_valid("0123456789012345678901234567890"));
    assert_int_equal(pgd_shm_name(name, "main", "a/b"), -EINVAL);
    assert_int_equal(pgd_shm_name(name, "main", ""), -EINVAL);
    assert_false(pgd_instance_valid(NULL));
}

static void not_ready_before_publish(void **state)
{
    (void)state;
    struct pgd_map reader;
    assert_int_equal(attach(&reader), -ENOENT);
    struct pgd_owner owner = instance_owner(3);
    struct pgd_map map = own(&owner, SIZE);
    assert_false(map.adopted);
    assert_int_equal(attach(&reader), -EAGAIN);
    pgd_segment_publish(&map, 3);
    assert_int_equal(attach(&reader), 0);
    assert_int_equal(pgd_segment_epoch(&reader), 3);
    assert_int_equal(pgd_segment_header(&reader)->size, SIZE);
    assert_string_equal(pgd_segment_header(&reader)->instance, instance());
    assert_string_equal(pgd_segment_header(&reader)->name, "plain");
    assert_int_equal(pgd_segment_attach(&(struct pgd_map){0}, instance(), "plain", PGD_KIND_BARS), -EPROTO);
    pgd_segment_close(&reader);
    pgd_segment_close(&map);
    pgd_segment_close(&map);
}

static void fields_by_name_and_position(void **state)
{
    (void)state;
    struct pgd_map map = own_published(1, SIZE), reader;
    assert_int_equal(attach(&reader), 0);
    assert_int_equal(pgd_segment_field(&reader, PGD_REC_SLOT, "price")->offset, 24);
    assert_null(pgd_segment_field(&reader, PGD_REC_SLOT, "pric"));
    assert_null(pgd_segment_field(&reader, PGD_REC_BAR, "price"));
    struct pgd_field f;
    assert_int_equal(pgd_segment_field_at(&reader, 0, &f), 0);
    assert_string_equal(f.name, "t");
    assert_int_equal(pgd_segment_field_at(&reader, 2, &f), -ENOENT);
    struct pgd_field *live = (struct pgd_field *)(map.base + map.schema_offset);
    live[1].offset = 57;
    assert_int_equal(pgd_segment_field_at(&reader, 1, &f), -EPROTO);
    live[1].offset = UINT32_MAX - 3;
    assert_int_equal(pgd_segment_field_at(&reader, 1, &f), -EPROTO);
    live[1].offset = 24;
    live[1].type = 99;
    assert_int_equal(pgd_segment_field_at(&reader, 1, &f), -EPROTO);
    live[1].type = PGD_F64;
    memset(live[1].name, 'x', sizeof live[1].name);
    assert_int_equal(pgd_segment_field_at(&reader, 1, &f), -EPROTO);
    pgd_segment_close(&reader);
    pgd_segment_close(&map);
}

static void adoption_keeps_inode_and_bytes(void **state)
{
    (void)state;
    struct pgd_map first = own_published(1, SIZE), reader;
    first.base[40000] = 42;
    assert_int_equal(attach(&reader), 0);
    pgd_segment_close(&first);
    struct pgd_owner owner = instance_owner(2);
    struct pgd_map second = own(&owner, SIZE);
    assert_true(second.adopted);
    assert_int_equal(second.base[40000], 42);
    assert_int_equal(pgd_segment_epoch(&reader), 1);
    uint32_t before = shm_load32(reader.base + 1024 + NOTIFY);
    pgd_segment_publish(&second, 2);
    assert_int_equal(pgd_segment_epoch(&reader), 2);
    assert_int_not_equal(shm_load32(reader.base + 1024 + NOTIFY), before);
    assert_false(pgd_segment_stale(&reader));
    pgd_segment_close(&reader);
    pgd_segment_close(&second);
}

/* What keeps a segment from being adopted: in every case the old readers are told and the name gets a fresh
 * file. */
static void expect_successor(struct pgd_owner owner, uint64_t size)
{
    struct pgd_map reader, fresh;
    assert_int_equal(attach(&reader), 0);
    uint32_t before = shm_load32(reader.base + 1024 + NOTIFY);
    struct pgd_map next = own(&owner, size);
    assert_false(next.adopted);
    assert_int_equal(next.base[40000], 0);
    assert_true(pgd_segment_stale(&reader));
    assert_int_not_equal(shm_load32(reader.base + 1024 + NOTIFY), before);
    assert_int_equal(reader.base[40000], 42);
    pgd_segment_publish(&next, owner.epoch);
    assert_int_equal(attach(&fresh), 0);
    assert_false(pgd_segment_stale(&fresh));
    pgd_segment_close(&fresh);
    pgd_segment_close(&reader);
    pgd_segment_close(&next);
}

static void another_layout_is_succeeded(void **state)
{
    (void)state;
    struct pgd_map map = own_published(1, SIZE);
    map.base[40000] = 42;
    expect_successor(instance_owner(2), SIZE + 64);
    pgd_segment_close(&map);
}

static void another_directory_is_succeeded(void **state)
{
    (void)state;
    struct pgd_map map = own_published(1, SIZE);
    map.base[40000] = 42;
    struct pgd_owner owner = instance_owner(2);
    owner.directory++;
    expect_successor(owner, SIZE);
    pgd_segment_close(&map);
}

static void another_schema_is_succeeded(void **state)
{
    (void)state;
    struct pgd_map map = own_published(1, SIZE);
    map.base[40000] = 42;
    struct pgd_field *live = (struct pgd_field *)(map.base + map.schema_offset);
    live[1].offset = 32;
    expect_successor(instance_owner(2), SIZE);
    pgd_segment_close(&map);
}

/* A daemon that died before publish left a segment that nobody may read: it is not adopted either. */
static void unpublished_is_succeeded(void **state)
{
    (void)state;
    struct pgd_owner owner = instance_owner(1);
    struct pgd_map map = own(&owner, SIZE);
    map.base[40000] = 42;
    struct pgd_map next = own(&owner, SIZE);
    assert_false(next.adopted);
    assert_int_equal(next.base[40000], 0);
    pgd_segment_close(&map);
    pgd_segment_close(&next);
}

static void empty_file_is_succeeded(void **state)
{
    (void)state;
    char name[PGD_SHM_NAME_MAX];
    assert_int_equal(pgd_shm_name(name, instance(), "plain"), 0);
    int fd = shm_open(name, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    struct pgd_map map;
    assert_int_equal(attach(&map), -EAGAIN);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(attach(&map), -EPROTO);
    close(fd);
    map = own_published(1, SIZE);
    assert_false(map.adopted);
    pgd_segment_close(&map);
}

static void damaged_headers_are_refused(void **state)
{
    (void)state;
#define AT(member) offsetof(struct pgd_header, member), sizeof((struct pgd_header){0}.member)
    static const struct {
        size_t offset, bytes;
        uint64_t value;
        int error;
    } cases[] = {
        {AT(magic), 0, -EAGAIN},
        {AT(magic), 12345, -EPROTO},
        {AT(abi_major), 2, -EPROTONOSUPPORT},
        {AT(abi_minor), 9, 0},
        {AT(kind), PGD_KIND_BOARD, -EPROTO},
        {AT(size), SIZE + 1, -EPROTO},
        {AT(size), SIZE - 1, -EPROTO},
        {AT(header_size), 8, -EPROTO},
        {AT(geometry_offset), 0xfffffff8, -EPROTO},
        {AT(geometry_offset), 257, -EPROTO},
        {AT(geometry_size), 0xffffffff, -EPROTO},
        {AT(geometry_size), 0, -EPROTO},
        {AT(schema_offset), 65528, -EPROTO},
        {AT(schema_count), 0xffffffff, -EPROTO},
        {AT(schema_count), 4096, -EPROTO},
        {AT(schema_stride), 8, -EPROTO},
        {AT(schema_stride), 0xfffffff8, -EPROTO},
        {AT(schema_stride), 65, -EPROTO},
        {AT(state), PGD_STATE_STALE, -EAGAIN},
    };
#undef AT
    struct pgd_map map = own_published(1, SIZE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t saved = 0;
        memcpy(&saved, map.base + cases[i].offset, cases[i].bytes);
        memcpy(map.base + cases[i].offset, &cases[i].value, cases[i].bytes);
        struct pgd_map reader = {0};
        int r = attach(&reader);
        if (r != cases[i].error)
            print_error("case %zu: %d\n", i, r);
        assert_int_equal(r, cases[i].error);
        pgd_segment_close(&reader);
        memcpy(map.base + cases[i].offset, &saved, cases[i].bytes);
    }
    pgd_segment_close(&map);
}

static void too_large_leaves_nothing(void **state)
{
    (void)state;
    struct statvfs st;
    assert_int_equal(statvfs("/dev/shm", &st), 0);
    uint64_t whole = (uint64_t)st.f_blocks * st.f_frsize;
    uint64_t free_bytes;
    assert_int_equal(pgd_shm_free_bytes(&free_bytes), 0);
    assert_true(free_bytes <= whole);
    struct pgd_owner owner = instance_owner(1);
    struct pgd_layout layout = layout_of((whole / 4096 + 16) * 4096);
    struct pgd_map map;
    assert_int_equal(pgd_segment_own(&map, &owner, &layout), -ENOSPC);
    assert_int_equal(attach(&map), -ENOENT);
}

static void memory_is_allocated_for_real(void **state)
{
    (void)state;
    struct pgd_map map = own_published(1, 1 << 20);
    struct stat st;
    assert_int_equal(fstat(map.fd, &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 >= 1 << 20);
    pgd_segment_close(&map);
}

/* In a child of another user: what attaching gives, and whether a wait in the read-only map is woken. */
static int as_stranger(const struct pgd_map *writer, gid_t gid)
{
    pid_t child = fork_child();
    if (child == 0) {
        struct pgd_map map;
        if (setgid(gid) < 0 || setuid(65534) < 0)
            _exit(99);
        int r = attach(&map);
        if (r < 0)
            _exit(-r);
        const uint32_t *word = (const uint32_t *)(map.base + 1024 + NOTIFY);
        for (int i = 0; i < 2000; i++)
            if (pgd_wait(word, shm_load32(word), INT64_C(10000000)) == 0)
                _exit(0);
        _exit(98);
    }
    int status = 0;
    uint32_t *word = (uint32_t *)(writer->base + 1024 + NOTIFY);
    while (waitpid(child, &status, WNOHANG) == 0) {
        shm_store32_release(word, shm_load32(word) + 1);
        pgd_wake_all(word);
        sleep_ms(2);
    }
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void file_mode_decides_who_reads(void **state)
{
    (void)state;
    need_fork();
    if (geteuid() != 0)
        skip();
    struct pgd_owner owner = instance_owner(1);
    owner.mode = 0640;
    owner.gid = 65533;
    struct pgd_map map = own(&owner, SIZE);
    pgd_segment_publish(&map, 1);
    struct stat st;
    assert_int_equal(fstat(map.fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(st.st_gid, 65533);
    assert_int_equal(as_stranger(&map, 65532), EACCES);
    assert_int_equal(as_stranger(&map, 65533), 0);
    pgd_segment_close(&map);
}

static void foreign_file_is_not_touched(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct pgd_map map = own_published(1, SIZE);
    assert_int_equal(fchown(map.fd, 65534, NO_GROUP), 0);
    struct pgd_owner owner = instance_owner(2);
    struct pgd_layout layout = layout_of(SIZE);
    struct pgd_map next;
    assert_int_equal(pgd_segment_own(&next, &owner, &layout), -EEXIST);
    assert_false(pgd_segment_stale(&map));
    pgd_segment_close(&map);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, instance_clean)
    const struct CMUnitTest tests[] = {
        TEST(names),
        TEST(not_ready_before_publish),
        TEST(fields_by_name_and_position),
        TEST(adoption_keeps_inode_and_bytes),
        TEST(another_layout_is_succeeded),
        TEST(another_directory_is_succeeded),
        TEST(another_schema_is_succeeded),
        TEST(unpublished_is_succeeded),
        TEST(empty_file_is_succeeded),
        TEST(damaged_headers_are_refused),
        TEST(too_large_leaves_nothing),
        TEST(memory_is_allocated_for_real),
        TEST(file_mode_decides_who_reads),
        TEST(foreign_file_is_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
