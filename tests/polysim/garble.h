/* garble.h - what rules do to the events of a message before it goes out. */
#ifndef POLYSIM_GARBLE_H
#define POLYSIM_GARBLE_H

#include "scenario.h"
#include "session.h"

/* False: the action is none of this kind. */
bool sim_garble(struct sim_session *session, enum sim_action action);

/* The JSON text with white space between all tokens. */
void sim_garble_spaces(struct sim_text *out, const char *text, size_t size);

#endif
