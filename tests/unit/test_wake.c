#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "instance.h"
#include "shm/atomic.h"
#include "shm/wake.h"

#define MS        INT64_C(1000000)
#define LONG_WAIT (20000 * MS)

static void changed_word_returns_at_once(void **state)
{
    (void)state;
    uint32_t word = 5;
    assert_int_equal(pgd_wait(&word, 4, LONG_WAIT), 0);
    struct pgd_wait_word words[] = {{&word, 5}, {&word, 4}};
    assert_int_equal(pgd_wait_any(words, 2, LONG_WAIT), 1);
}

static void unchanged_word_times_out(void **state)
{
    (void)state;
    uint32_t word = 5;
    assert_int_equal(pgd_wait(&word, 5, 0), -ETIMEDOUT);
    assert_int_equal(pgd_wait(&word, 5, 2 * MS), -ETIMEDOUT);
    struct pgd_wait_word words[] = {{&word, 5}};
    assert_int_equal(pgd_wait_any(words, 1, 2 * MS), -ETIMEDOUT);
}

static void wait_any_bounds_its_count(void **state)
{
    (void)state;
    uint32_t word = 0;
    struct pgd_wait_word words[129];
    for (size_t i = 0; i < 129; i++)
        words[i] = (struct pgd_wait_word){&word, 0};
    assert_int_equal(pgd_wait_any(words, 0, 0), -EINVAL);
    assert_int_equal(pgd_wait_any(words, 129, 0), -EINVAL);
    assert_int_equal(pgd_wait_any(words, 128, 0), -ETIMEDOUT);
}

/* A segment that is mapped read-only in the sleeper and writable in the waker, in two processes. */
struct shared {
    struct pgd_map writer, reader;
};

static const uint64_t plain_geometry[32];

static struct shared open_shared(void)
{
    struct shared s;
    struct pgd_owner owner = instance_owner(1);
    struct pgd_layout layout = {.name = "plain",
                                .kind = PGD_KIND_BOARD,
                                .size = 8192,
                                .geometry = plain_geometry,
                                .geometry_size = sizeof plain_geometry};
    assert_int_equal(pgd_segment_own(&s.writer, &owner, &layout), 0);
    pgd_segment_publish(&s.writer, 1);
    assert_int_equal(pgd_segment_attach(&s.reader, instance(), "plain", PGD_KIND_BOARD), 0);
    return s;
}

static void close_shared(struct shared *s)
{
    pgd_segment_close(&s->writer);
    pgd_segment_close(&s->reader);
}

/* The child bumps the word until it is killed: a wait that begins late must still be woken. */
static pid_t start_waker(uint32_t *word)
{
    pid_t child = fork_child();
    if (child != 0)
        return child;
    for (;;) {
        sleep_ms(5);
        shm_store32_release(word, shm_load32(word) + 1);
        pgd_wake_all(word);
    }
}

static void stop_child(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void other_process_wakes_read_only_map(void **state)
{
    (void)state;
    need_fork();
    struct shared s = open_shared();
    uint32_t *word = (uint32_t *)(s.writer.base + 4096);
    const uint32_t *seen_at = (const uint32_t *)(s.reader.base + 4096);
    const uint32_t *idle = (const uint32_t *)(s.reader.base + 4100);
    pid_t child = start_waker(word);
    for (int i = 0; i < 20; i++) {
        uint32_t seen = shm_load32(seen_at);
        assert_int_equal(pgd_wait(seen_at, seen, LONG_WAIT), 0);
        struct pgd_wait_word words[] = {{idle, 0}, {seen_at, shm_load32(seen_at)}};
        assert_int_equal(pgd_wait_any(words, 2, LONG_WAIT), 1);
    }
    stop_child(child);
    close_shared(&s);
}

static bool deny_waitv(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 449, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = 4, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static void wait_any_without_waitv(void **state)
{
    (void)state;
    need_fork();
    struct shared s = open_shared();
    uint32_t *word = (uint32_t *)(s.writer.base + 4096);
    uint32_t *idle = (uint32_t *)(s.writer.base + 4100);
    pid_t waker = start_waker(word);
    pid_t child = fork_child();
    if (child == 0) {
        if (!deny_waitv())
            _exit(77);
        struct pgd_wait_word none[] = {{idle, 0}};
        struct pgd_wait_word words[] = {{idle, 0}, {word, shm_load32(word)}};
        _exit(pgd_wait_any(words, 2, LONG_WAIT) == 1 && pgd_wait_any(none, 1, 2 * MS) == -ETIMEDOUT ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    stop_child(waker);
    close_shared(&s);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void on_signal(int number)
{
    (void)number;
}

static void signal_interrupts(void **state)
{
    (void)state;
    need_fork();
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigaction(SIGUSR1, &action, &old);
    pid_t parent = getpid(), child = fork_child();
    if (child == 0)
        for (;;) {
            sleep_ms(5);
            kill(parent, SIGUSR1);
        }
    uint32_t word = 0;
    struct pgd_wait_word words[] = {{&word, 0}};
    assert_int_equal(pgd_wait(&word, 0, LONG_WAIT), -EINTR);
    assert_int_equal(pgd_wait_any(words, 1, LONG_WAIT), -EINTR);
    stop_child(child);
    sigaction(SIGUSR1, &old, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_word_returns_at_once),
        cmocka_unit_test(unchanged_word_times_out),
        cmocka_unit_test(wait_any_bounds_its_count),
        cmocka_unit_test_teardown(other_process_wakes_read_only_map, instance_clean),
        cmocka_unit_test_teardown(wait_any_without_waitv, instance_clean),
        cmocka_unit_test(signal_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
