#include "route.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control.h"
#include "pages.h"
#include "rest.h"
#include "session.h"
#include "sim.h"
#include "spoil.h"
#include "trouble.h"

static void name_request(struct sim *sim, struct sim_request *request)
{
    uint64_t id = sim->next_id++;
    snprintf(request->id, sizeof(request->id), "%016llx%016llx",
             (unsigned long long)sim_hash(sim->options.seed, id, 1),
             (unsigned long long)sim_hash(sim->options.seed, id, 2));
}

/* Pages of the past come from memory the second time. */
static void answer_rest(struct sim_conn *conn, const struct sim_request *request, struct sim_reply *reply)
{
    struct sim *sim = conn->sim;
    uint64_t revision = sim->market.revision;
    if (!sim_rest_admit(sim, request, reply)) {
        sim_reply_send(conn, request, reply);
        return;
    }
    bool sound =
        !reply->truncate && !reply->bad_chunk && !reply->corrupt && !reply->spoil && !request->rows_most;
    const struct sim_text *wire = sound ? sim_pages_find(sim->pages, request, revision) : NULL;
    if (!wire) {
        sim_rest_handle(sim, request, reply, conn->tls);
        if (reply->spoil && reply->status == 200)
            sim_spoil(reply, request, conn->tls);
        if (!reply->lasting || !sound) {
            sim_reply_send(conn, request, reply);
            return;
        }
        struct sim_text fresh = {0};
        sim_reply_render(request, reply, &fresh);
        wire = sim_pages_keep(sim->pages, request, revision, &fresh);
    }
    sim_conn_write(conn, wire->data, wire->size);
    sim_conn_flush(conn);
    if (!request->keep_alive)
        sim_conn_finish(conn);
}

static void answer(struct sim_conn *conn, const struct sim_request *request, struct sim_reply *reply)
{
    struct sim *sim = conn->sim;
    if (strcmp(request->segments[0], "sim") == 0) {
        sim_control(sim, request, reply);
    } else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        reply->status = 405;
        reply->type = "text/plain";
        sim_text_str(&reply->body, "method not allowed\n");
    } else {
        answer_rest(conn, request, reply);
        return;
    }
    sim_reply_send(conn, request, reply);
}

void sim_route(struct sim_conn *conn, struct sim_request *request)
{
    struct sim *sim = conn->sim;
    name_request(sim, request);
    sim->stats.requests++;
    conn->shape = (struct sim_shape){0};
    bool upgrade = strcasecmp(request->upgrade, "websocket") == 0;
    const struct sim_rule *rule = NULL;
    if (strcmp(request->segments[0], "sim") != 0)
        rule = sim_scenarios_request(&sim->scenarios, upgrade ? SIM_UPGRADE : SIM_REQUEST, request->path);
    struct sim_reply reply = {.status = 200};
    if (!rule || !sim_trouble_request(conn, request, rule, &reply)) {
        if (upgrade)
            sim_session_upgrade(conn, request, rule);
        else
            answer(conn, request, &reply);
    }
    sim_reply_fini(&reply);
}
