/* metrics.h: metrics.jsonl, one JSON object a line: reports with `loss`, validations with `eval_loss`. Append-only;
 * each line is one write. A resumed run cuts it back to its checkpoint first, so the file ends up as that of an
 * uninterrupted run, but for the fields that measure time. */
#ifndef LORAC_METRICS_H
#define LORAC_METRICS_H

#include "lorac.h"

#include <stdint.h>

typedef struct metrics {
    const char *path; /* the caller's */
    int fd;
    int64_t bytes;
} metrics;

/* Opens DIR/metrics.jsonl, cut to its first `bytes`. */
int metrics_open(metrics *m, const char *path, int64_t bytes);
void metrics_close(metrics *m);
int metrics_report(metrics *m, const lorac_event *report);
int metrics_eval(metrics *m, const lorac_event *eval, double accuracy, int64_t eval_tokens);
/* Makes all lines so far durable; a checkpoint that relies on them comes after. */
int metrics_sync(metrics *m);

#endif
