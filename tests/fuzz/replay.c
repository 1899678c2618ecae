/* Runs a fuzz target over files: `fuzz_x FILE|FOLDER...`. Every byte of a corpus is so an ordinary test.
 * Fails when there was nothing to run. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    uint8_t *data = NULL;
    size_t size = 0, n;
    do {
        uint8_t *more = realloc(data, size + 65536);
        if (!more)
            abort();
        data = more;
        n = fread(data + size, 1, 65536, f);
        size += n;
    } while (n > 0);
    fclose(f);
    /* An allocation of just the right size, so that the sanitizer sees one byte too far. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, data, size);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

static int run_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort), ran = 0;
    if (n < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && ran >= 0) {
            int r = run_file(name);
            ran = r < 0 ? r : ran + r;
        }
        free(entries[i]);
    }
    free(entries);
    return ran;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int r = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
        if (r < 0)
            return 1;
        total += r;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
