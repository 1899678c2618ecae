#include "replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KINDS 32u

struct summary {
    uint64_t by_kind[KINDS];
    uint64_t others, records, frame_bytes, lost;
    int64_t first_ns, last_ns;
    uint64_t damages;
};

struct check {
    struct summary file;
    uint64_t damages, missing;
};

static void on_damage(void *user, const struct journal_damage *d)
{
    struct check *c = user;
    fprintf(stderr, "polygond: journal: %s: at byte %" PRIu64 ": %s", d->file, d->offset, d->what);
    if (d->bytes)
        fprintf(stderr, ": %" PRIu64 " bytes%s", d->bytes, d->tail ? " to the end of the file" : "");
    if (d->records)
        fprintf(stderr, ", %" PRIu64 " records", d->records);
    fputc('\n', stderr);
    c->file.damages++;
    c->damages++;
    c->missing += d->records;
}

static void put_time(const char *before, int64_t ns)
{
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    char text[40] = "?";
    if (gmtime_r(&s, &tm))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    printf("%s%s.%03dZ", before, text, (int)(ns / 1000000 % 1000));
}

static void put_file(const struct journal_reader *reader, const struct summary *s)
{
    const struct journal_file *f = journal_reader_file(reader);
    printf("%s: instance %s, file %" PRIu64 ", polygond %s, %" PRIu64 " bytes\n", journal_reader_name(reader),
           f->instance, f->number, f->program, journal_reader_size(reader));
    put_time("  run of ", f->run_ns);
    if (s->records) {
        put_time(", records from ", s->first_ns);
        put_time(" to ", s->last_ns);
    }
    printf("\n  %" PRIu64 " records:", s->records);
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (s->by_kind[kind])
            printf(" %s %" PRIu64, journal_kind_name(kind), s->by_kind[kind]);
    if (s->others)
        printf(" of kinds not known %" PRIu64, s->others);
    printf("; %" PRIu64 " bytes of frames\n", s->frame_bytes);
    if (s->lost)
        printf("  %" PRIu64 " records were left out when it was written\n", s->lost);
    printf("  %s\n", s->damages ? "DAMAGED" : "whole");
}

static void add(struct summary *s, const struct journal_item *item)
{
    const struct journal_record *r = item->head;
    if (s->records++ == 0)
        s->first_ns = s->last_ns = r->t_ns;
    s->first_ns = r->t_ns < s->first_ns ? r->t_ns : s->first_ns;
    s->last_ns = r->t_ns > s->last_ns ? r->t_ns : s->last_ns;
    if (r->kind < KINDS && journal_kind_name(r->kind))
        s->by_kind[r->kind]++;
    else
        s->others++;
    if (r->kind == JOURNAL_FRAME)
        s->frame_bytes += item->size;
    else if (r->kind == JOURNAL_LOST)
        s->lost += r->arg;
}

/* A file at a time: one that is no journal does not keep the others from being looked at. */
static int check_path(struct check *c, char *path)
{
    char err[512];
    struct journal_set *set;
    struct journal_item item;
    const struct journal_reader *reader;
    int r = journal_set_open(&set, &path, 1, on_damage, c, err, sizeof err);
    if (r < 0) {
        fprintf(stderr, "polygond: journal: %s\n", err);
        return r;
    }
    while ((r = journal_set_next_file(set, &reader, err, sizeof err)) == 1) {
        c->file = (struct summary){0};
        while ((r = journal_set_next_in(set, &item, err, sizeof err)) == 1)
            add(&c->file, &item);
        put_file(reader, &c->file);
        if (r < 0)
            break;
    }
    if (r < 0)
        fprintf(stderr, "polygond: journal: %s\n", err);
    journal_set_close(set);
    return r;
}

int replay_check(char *const *paths, size_t count)
{
    struct check c = {0};
    int failed = 0;
    for (size_t i = 0; i < count; i++)
        failed |= check_path(&c, paths[i]) < 0;
    if (c.damages)
        fprintf(stderr,
                "polygond: journal: %" PRIu64 " damaged places, at least %" PRIu64 " records missing\n",
                c.damages, c.missing);
    return failed || c.damages || fflush(stdout) != 0;
}
