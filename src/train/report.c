/* report.c: events are made here and nowhere else. */
#include "report.h"

#include "clock.h"
#include "cpu.h"
#include "err.h"

static void tell(const run *r, const lorac_event *event)
{
    const lorac_watch *watch = r->in->watch;

    if (watch && watch->on_event)
        watch->on_event(watch->user, event);
}

static lorac_event event_of(const run *r, lorac_event_kind kind)
{
    double elapsed = clock_seconds() - r->progress.start;
    int64_t done = r->state.step - r->progress.first_step;

    return (lorac_event){
        .kind = kind,
        .step = r->state.step,
        .steps = r->steps,
        .epoch = r->sampler.steps_per_epoch ? (double)r->state.step / (double)r->sampler.steps_per_epoch : 0,
        .learning_rate = r->progress.learning_rate,
        .grad_norm = r->progress.grad_norm,
        .tokens = r->state.tokens,
        .trained_tokens = r->state.trained_tokens,
        .seconds_left = done > 0 ? elapsed / (double)done * (double)(r->steps - r->state.step) : 0,
        .peak_memory = memory_peak(),
    };
}

void report_plan(const run *r)
{
    lorac_event event = event_of(r, LORAC_EVENT_PLAN);
    lorac_row first;

    event.plan = &r->plan;
    event.tokenizer = r->in->text;
    if (r->train.count) {
        const example *x = &r->train.rows[0];

        first = (lorac_row){ .ids = r->train.ids + x->begin,
                             .labels = r->train.labels + x->begin,
                             .count = (size_t)x->count,
                             .trained = (size_t)x->trained,
                             .label = r->train.shift ? -1 : r->train.labels[x->begin + (uint64_t)x->run - 1],
                             .file = r->train.parts[x->part].file,
                             .line = (long)x->line };
        event.example = &first;
    }
    tell(r, &event);
}

void report_notes(run *r)
{
    lorac_event event = event_of(r, LORAC_EVENT_NOTE);
    slice rest = buf_slice_of(&r->notes);

    while (rest.n) {
        slice line = slice_cut(&rest, '\n');
        buf text = { 0 };

        buf_slice(&text, line);
        event.text = text.p;
        if (line.n && !text.failed)
            tell(r, &event);
        buf_free(&text);
    }
    buf_clear(&r->notes);
}

static void set_speed(lorac_event *event, int64_t tokens, int64_t steps, double seconds)
{
    if (seconds > 0) {
        event->tokens_per_second = (double)tokens / seconds;
        event->steps_per_second = (double)steps / seconds;
    }
}

/* The first step sets things up; it counts only when it is the only one. */
static void report_profile(run *r, int64_t tokens, double seconds)
{
    static const char *const names[PROFILE_PARTS] = {
        [PROFILE_LAYERS] = "products of the layers",
        [PROFILE_FACTORS] = "adapter factors",
        [PROFILE_HEAD] = "products of the head",
        [PROFILE_ATTENTION] = "attention",
        [PROFILE_ELEMENTS] = "norms, rotation, activation, sums",
        [PROFILE_LOSS] = "loss",
        [PROFILE_OPTIMIZER] = "optimiser",
    };
    _Static_assert((int)PROFILE_PARTS == LORAC_PROFILE_PARTS, "the public structure has room for all");
    lorac_profile *out = r->in->watch->profile;

    if (r->state.step == r->progress.first_step + 1) {
        *out = (lorac_profile){ 0 };
        if (r->steps > r->state.step)
            return;
    }
    out->seconds += seconds;
    out->tokens += tokens;
    out->steps++;
    for (int i = 0; i < PROFILE_PARTS; i++) {
        const profile_entry *e = &r->profile.part[i];
        lorac_profile_part *part = &out->parts[i];
        part->name = names[i];
        part->seconds += e->seconds;
        part->flops += e->flops;
        part->bytes += e->bytes;
    }
}

void report_step(run *r, double loss, int64_t tokens, double seconds)
{
    lorac_event event = event_of(r, LORAC_EVENT_STEP);

    event.loss = loss;
    set_speed(&event, tokens, 1, seconds);
    if (r->in->watch && r->in->watch->profile)
        report_profile(r, tokens, seconds);
    tell(r, &event);
}

int report_interval(run *r)
{
    lorac_event event = event_of(r, LORAC_EVENT_REPORT);
    run_state *s = &r->state;

    event.loss = s->report_loss / (double)s->report_trained;
    set_speed(&event, s->report_tokens, s->report_steps, clock_seconds() - r->progress.report_start);
    TRY(metrics_report(&r->metrics, &event));
    s->metrics_bytes = r->metrics.bytes;
    s->report_loss = 0;
    s->report_steps = s->report_tokens = s->report_trained = 0;
    r->progress.report_start = clock_seconds();
    tell(r, &event);
    return LORAC_OK;
}

int report_eval(run *r, const loss_result *result, double seconds, bool best)
{
    lorac_event event = event_of(r, LORAC_EVENT_EVAL);

    event.eval_loss = result->sum / (double)result->count;
    event.eval_seconds = seconds;
    event.best = best;
    TRY(metrics_eval(&r->metrics, &event, (double)result->hits / (double)result->count, result->count));
    r->state.metrics_bytes = r->metrics.bytes;
    tell(r, &event);
    return LORAC_OK;
}

void report_save(const run *r, const char *path)
{
    lorac_event event = event_of(r, LORAC_EVENT_SAVE);

    event.path = path;
    tell(r, &event);
}
