/* report.h: what a run tells: events to the watcher, lines to metrics.jsonl. */
#ifndef LORAC_REPORT_H
#define LORAC_REPORT_H

#include "run.h"

void report_plan(const run *r);
/* Hands out the lines collected in r->notes, one event each, and empties it. */
void report_notes(run *r);
/* One optimiser step took `seconds` for `tokens` tokens; `loss` is its mean. */
void report_step(run *r, double loss, int64_t tokens, double seconds);
/* Means since the last report, to the file and the watcher; starts the next interval. */
int report_interval(run *r);
int report_eval(run *r, const loss_result *result, double seconds, bool best);
void report_save(const run *r, const char *path);

#endif
