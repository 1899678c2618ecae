/* control.h - the routes under /sim/, by which a test pulls the strings of the running server. */
#ifndef POLYSIM_CONTROL_H
#define POLYSIM_CONTROL_H

#include "http.h"
#include "sim.h"

/* The reply is filled in. The request's own connection is not a WebSocket, so whatever happens to sessions
 * leaves it alone. */
void sim_control(struct sim *sim, const struct sim_request *request, struct sim_reply *reply);

#endif
