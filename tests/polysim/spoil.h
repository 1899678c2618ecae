/* spoil.h - pages of REST that are not what they should be, though they are sound JSON. */
#ifndef POLYSIM_SPOIL_H
#define POLYSIM_SPOIL_H

#include "http.h"

/* Changes reply->body by reply->spoil. A body without results stays as it is. */
void sim_spoil(struct sim_reply *reply, const struct sim_request *request, bool tls);

#endif
