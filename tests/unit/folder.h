/* A throw-away folder for a test, removed with all that is in it. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void folder_remove(const char *path)
{
    (void)nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In $TMPDIR or /tmp; exits when there is no place. */
static inline void folder_make(char ret[256])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(ret, 256, "%s/polygond-test.XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(ret)) {
        perror(ret);
        exit(1);
    }
}

#endif
