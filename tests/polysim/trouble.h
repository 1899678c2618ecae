/* trouble.h - carries out the rules of the scenarios. */
#ifndef POLYSIM_TROUBLE_H
#define POLYSIM_TROUBLE_H

#include "http.h"
#include "scenario.h"
#include "session.h"

/* Rules that precede the reply to an auth or subscribe, or the nth data message. True: there is to be no
 * reply. */
bool sim_trouble_before(struct sim_session *session, enum sim_when when, uint64_t n);
/* Rules that follow it. The connection may be dead afterwards. */
void sim_trouble_after(struct sim_session *session, enum sim_when when, uint64_t n);
/* Rules for the time since the last call. */
void sim_trouble_tick(struct sim_session *session);

/* One action now. */
void sim_trouble_do(struct sim_session *session, const struct sim_rule *rule);

/* A REST request or an upgrade. True: it has been answered (or never will be). False: answer it, with what
 * the rule put into reply. */
bool sim_trouble_request(struct sim_conn *conn, struct sim_request *request, const struct sim_rule *rule,
                         struct sim_reply *reply);

/* A late trade in the minute at t of every stock whose minutes the session has; at most 200. */
void sim_trouble_revise(struct sim_session *session, int64_t minutes_ago);

#endif
