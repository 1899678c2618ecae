/* control_socket: where the socket's file lies, how it is made, taken over and removed. */
#include "control.h"
#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char path[96];

static void test_made(void **state)
{
    (void)state;
    struct control_file file, second;
    struct stat st;
    int fd = control_socket_open(&file, path, 0640, getgid());
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_gid, getgid());
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(control_socket_open(&second, path, 0640, (gid_t)-1), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    control_socket_remove(&file);
    assert_int_equal(access(path, F_OK), -1);
    close(fd);
}

/* What a daemon killed with -9 leaves. */
static void test_stale(void **state)
{
    (void)state;
    struct control_file file;
    close(control_socket_open(&file, path, 0600, (gid_t)-1));
    assert_int_equal(access(path, F_OK), 0);
    int fd = control_socket_open(&file, path, 0600, (gid_t)-1);
    assert_true(fd >= 0);
    control_socket_remove(&file);
    close(fd);
}

/* Somebody else's file under our name is not removed. */
static void test_not_ours(void **state)
{
    (void)state;
    struct control_file file;
    int fd = control_socket_open(&file, path, 0600, (gid_t)-1);
    assert_true(fd >= 0);
    char other[128];
    snprintf(other, sizeof(other), "%s.other", path); /* keeps the inode from being used again */
    assert_int_equal(rename(path, other), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    control_socket_remove(&file);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(control_socket_open(&file, path, 0600, (gid_t)-1), -EEXIST);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    unlink(other);
    close(fd);
}

static void test_no_place(void **state)
{
    (void)state;
    struct control_file file;
    char other[128], longer[200];
    snprintf(other, sizeof(other), "%s/none/x.sock", dir);
    assert_int_equal(control_socket_open(&file, other, 0600, (gid_t)-1), -ENOENT);
    memset(longer, 'x', sizeof(longer));
    longer[199] = '\0';
    assert_int_equal(control_socket_open(&file, longer, 0600, (gid_t)-1), -ENAMETOOLONG);
}

static void test_path(void **state)
{
    (void)state;
    char got[128], err[256];
    struct config *config = NULL;
    assert_int_equal(config_load(&config, NULL, err, sizeof(err)), 0);
    char *own = config->control.path;
    config->control.path = (char[]){"/x/y.sock"};
    assert_int_equal(control_path(got, sizeof(got), config), 0);
    assert_string_equal(got, "/x/y.sock");
    assert_int_equal(control_path(got, 5, config), -ENAMETOOLONG);
    config->control.path = own;
    setenv("RUNTIME_DIRECTORY", "/run/p:/run/q", 1);
    assert_int_equal(control_path(got, sizeof(got), config), 0);
    assert_string_equal(got, "/run/p/main.sock");
    char longer[200];
    memset(longer, '/', sizeof(longer));
    longer[199] = '\0';
    setenv("RUNTIME_DIRECTORY", longer, 1);
    assert_int_equal(control_path(got, sizeof(got), config), -ENAMETOOLONG);
    unsetenv("RUNTIME_DIRECTORY");
    if (access("/run/polygond", F_OK) < 0) {
        setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
        assert_int_equal(control_path(got, sizeof(got), config), 0);
        assert_string_equal(got, "/run/user/7/polygond.main.sock");
        unsetenv("XDG_RUNTIME_DIR");
        assert_int_equal(control_path(got, sizeof(got), config), -ENOENT);
    }
    config_free(config);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/polygond-test-socket-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/s.sock", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),     cmocka_unit_test(test_stale), cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_no_place), cmocka_unit_test(test_path),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
