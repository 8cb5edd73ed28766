/* session.h: a batch of sequences over one model. Every sequence has its own rows of the cache, adapters and sampler. A
 * step runs all that was appended and not yet run, of all sequences together; what a sequence gets does not depend on
 * its neighbours. */
#ifndef LORAC_SESSION_H
#define LORAC_SESSION_H

#include "adapter_set.h"
#include "sample.h"

typedef struct sequence {
    struct session *session;
    token_sampler sampler;
    int32_t *ids;                /* everything appended or sampled so far */
    size_t count, capacity, run; /* of which `run` stand in the cache */
    bool waiting;                /* has tokens that this step has not run yet */
    int32_t last;                /* sampled last; -1: an end token, or nothing yet */
    const int32_t *ends;
    size_t end_count;        /* ids that end a generation; not owned */
    int64_t first_row, rows; /* its part of the cache */
    adapter_use *uses;
    size_t use_count;       /* first and count are set anew in each pass */
    adapter **owned;        /* NULL: they are those of a set, or of the session */
    const adapter_set *set; /* NULL: the session's */
    char *name;             /* of the one of that set; NULL: what is active there */
    bool settled;           /* `uses` were made of the set as it was at this version */
    uint64_t version;
    struct sequence *next;
} sequence;

typedef struct session {
    const model *m;
    context *c;
    kv_cache *cache;
    sequence *sequences;
    float *logits;
    size_t logit_rows;
    size_t measured_rows, measured_logits, measured_uses; /* of the passes that memory is there for */
    const adapter *measured[ADAPTERS_MAX];
    const adapter_use *uses;
    size_t use_count; /* without a set: what sequences that have none of their own get; not owned */
    const adapter_set *set;
    uint64_t version; /* of the set at the last pass over a text on its own */
} session;

/* `c` is borrowed; its adapters are what sequences get that have none of their own. */
int session_new(session **out, const model *m, context *c);
void session_free(session *s);
int sequence_new(sequence **out, session *s, const lorac_sampling *sampling);
void sequence_free(sequence *q);
int sequence_append(sequence *q, const int32_t *ids, size_t count);
/* Loads and takes ownership; the cache of the sequence is void. */
int sequence_set_adapters(sequence *q, const lorac_adapter_ref *refs, size_t count);
/* From now on sequences without adapters of their own get what is in force in the set; NULL: the context's again. It
 * must live as long as it is used. The same for one sequence, which may have one of the set's adapters alone. Caches
 * that other adapters made are dropped. */
void session_use(session *s, const adapter_set *set);
int sequence_use(sequence *q, const adapter_set *set, const char *name);
int session_step(session *s);
/* Logits of a text on its own, with the session's adapters and no cache: [count, vocabulary], or a classifier's
 * [labels]. */
int session_logits(session *s, const int32_t *ids, size_t count, float *out);

#endif
