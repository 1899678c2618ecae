/* stream.c - segments of an instance, mapped when first asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct pgd__stream *pgd__stream_get(const struct pgd_client *client, int stream, enum pgd_kind kind)
{
    if (stream < 0 || stream >= client->stream_count)
        return NULL;
    const struct pgd__stream *s = &client->streams[stream];
    return kind == 0 || s->kind == kind ? (struct pgd__stream *)(uintptr_t)s : NULL;
}

const struct pgd_map *pgd__stream_map(const struct pgd__stream *s)
{
    return s->kind == PGD_KIND_BARS ? &s->bars.map : &s->map;
}

/* Names and units of the indicator columns, out of the schema. */
static int load_columns(struct pgd__stream *s)
{
    const struct pgd_map *map = &s->bars.map;
    unsigned count = s->bars.geo.columns;
    if (count > PGD__COLUMNS_MAX)
        return -EPROTO;
    s->columns = calloc(count + 1u, sizeof *s->columns);
    if (!s->columns)
        return -ENOMEM;
    s->column_count = count;
    for (uint32_t i = 0; i < map->schema_count; i++) {
        struct pgd_field f;
        if (pgd_segment_field_at(map, i, &f) < 0)
            continue;
        unsigned column = f.offset / 8u - 1u; /* before the columns stands the tag */
        if (f.record == PGD_REC_UNIT && f.type == PGD_F64 && f.offset % 8u == 0 && column < count)
            s->columns[column] = f;
    }
    return 0;
}

static int attach_bars(struct pgd__stream *s, const char *instance)
{
    int r = pgd_bars_attach(&s->bars, instance, s->name + 5);
    if (r < 0)
        return r;
    r = load_columns(s);
    if (r < 0)
        pgd_bars_detach(&s->bars);
    return r;
}

static int attach_tape(struct pgd__stream *s, const char *instance)
{
    int r = pgd_segment_attach(&s->map, instance, s->name, PGD_KIND_TAPE);
    if (r < 0)
        return r;
    struct pgd_tape_geometry geo;
    r = -EPROTO;
    if (s->map.geometry_size >= sizeof geo) {
        memcpy(&geo, s->map.base + s->map.geometry_offset, sizeof geo);
        s->tape_offset = geo.tape_offset;
        r = pgd_tape_reader_init(&s->latest, &s->map, geo.tape_offset, PGD_FROM_NEXT);
    }
    if (r < 0)
        pgd_segment_close(&s->map);
    return r;
}

int pgd__stream_attach(struct pgd__stream *ret, const char *instance, const char *name)
{
    struct pgd__stream s = {.kind = strncmp(name, "bars.", 5) == 0 ? PGD_KIND_BARS : PGD_KIND_TAPE};
    size_t n = strlen(name);
    if (n == 0 || n >= sizeof s.name)
        return -EINVAL;
    memcpy(s.name, name, n + 1);
    int r = s.kind == PGD_KIND_BARS ? attach_bars(&s, instance) : attach_tape(&s, instance);
    if (r < 0)
        return r == -ENOENT ? PGD_ERR_NO_STREAM : r;
    *ret = s;
    return 0;
}

void pgd__stream_detach(struct pgd__stream *s)
{
    if (s->kind == PGD_KIND_BARS)
        pgd_bars_detach(&s->bars);
    else
        pgd_segment_close(&s->map);
    free(s->columns);
}

int pgd_stream(struct pgd_client *client, const char *name)
{
    for (int i = 0; i < client->stream_count; i++)
        if (strcmp(client->streams[i].name, name) == 0)
            return i;
    if (client->stream_count == PGD__STREAMS)
        return -EMFILE;
    int r = pgd__stream_attach(&client->streams[client->stream_count], client->instance, name);
    return r < 0 ? r : client->stream_count++;
}

const char *pgd_stream_name(const struct pgd_client *client, int stream)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, 0);
    return s ? s->name : NULL;
}

enum pgd_kind pgd_stream_kind(const struct pgd_client *client, int stream)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, 0);
    return s ? s->kind : (enum pgd_kind)0;
}

unsigned pgd_columns(const struct pgd_client *client, int stream)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, PGD_KIND_BARS);
    return s ? s->column_count : 0;
}

const char *pgd_column_name(const struct pgd_client *client, int stream, unsigned column)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, PGD_KIND_BARS);
    return s && column < s->column_count ? s->columns[column].name : NULL;
}

const char *pgd_column_unit(const struct pgd_client *client, int stream, unsigned column)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, PGD_KIND_BARS);
    return s && column < s->column_count ? s->columns[column].unit : NULL;
}

uint32_t pgd_stream_capacity(const struct pgd_client *client, int stream)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, 0);
    if (!s)
        return 0;
    return s->kind == PGD_KIND_BARS ? s->bars.geo.capacity : (uint32_t)s->latest.capacity;
}
