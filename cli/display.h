/* display.h: the progress of a training run, in the form that --log asks for. */
#ifndef LORAC_DISPLAY_H
#define LORAC_DISPLAY_H

#include "cli.h"

typedef struct display display;

display *display_new(const arguments *a);
/* on_event of a lorac_watch; `user` is the display. */
void display_event(void *user, const lorac_event *event);
void display_free(display *d);

/* What the events said, for the words after the run. */
typedef struct display_summary {
    int64_t step, tokens, trained_tokens;
    double loss, eval_loss, best_eval_loss, tokens_per_second; /* NAN: never reported */
} display_summary;

display_summary display_sum(const display *d);

#endif
