/* route.h - where a request goes: the WebSocket, REST, or the controls under /sim/. */
#ifndef POLYSIM_ROUTE_H
#define POLYSIM_ROUTE_H

#include "http.h"

void sim_route(struct sim_conn *conn, struct sim_request *request);

#endif
