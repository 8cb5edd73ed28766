/* live.h: the block of lines that is redrawn in place on a terminal. */
#ifndef LORAC_LIVE_H
#define LORAC_LIVE_H

#include "cli.h"

typedef struct live live;

live *live_new(void);
/* The new state of the run; draws at most some times a second. */
void live_step(live *l, const lorac_event *event);
void live_eval(live *l, const lorac_event *event);
/* Takes the block away, so that a line can be printed that stays; the next step draws it again. */
void live_erase(live *l);
/* Draws the last state and leaves it standing. */
void live_finish(live *l);
void live_free(live *l);

#endif
