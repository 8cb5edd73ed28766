/* live.c: bar, loss curve and figures of a run, redrawn in place on stderr.
 *
 * Each line is cut to the terminal's width. When the terminal got narrower since the last drawing it may have broken
 * the old lines; the number of rows they take now is worked out before going back up. */
#include "live.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 3, CURVE_MOST = 4096, CURVE_WIDTH = 24, BAR_LEAST = 10, BAR_MOST = 40, LINE_BYTES = 1024 };

static const double DRAW_SECONDS = 0.1;

struct live {
    lorac_event last;
    double eval_loss, best, drawn_at, started;
    float curve[CURVE_MOST]; /* losses; when full, every second one is dropped */
    size_t curve_count;
    int64_t curve_stride; /* steps between two of them */
    int cells[LINES];     /* widths of the lines that stand on the screen */
    int drawn;            /* how many */
    bool utf8, colour;
};

live *live_new(void)
{
    live *l = allocate(1, sizeof *l);

    l->utf8 = has_utf8();
    l->colour = has_colour(stderr);
    l->eval_loss = l->best = NAN;
    l->curve_stride = 1;
    l->started = seconds_now();
    return l;
}

/* ---- One line -------------------------------------------------------------------------------- */

typedef struct line {
    char text[LINE_BYTES];
    size_t bytes;
    int cells, width;
} line;

/* Adds what fits; text is ours, one cell a character. */
static void add(line *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(line *out, const char *format, ...)
{
    char piece[512];
    va_list values;
    size_t n, at = 0;

    va_start(values, format);
    vsnprintf(piece, sizeof piece, format, values);
    va_end(values);
    n = strlen(piece);
    while (at < n && out->cells < out->width) {
        size_t start = at;

        next_codepoint(piece, n, &at);
        if (out->bytes + (at - start) + 16 > sizeof out->text)
            return;
        memcpy(out->text + out->bytes, piece + start, at - start);
        out->bytes += at - start;
        out->cells++;
    }
}

static void add_colour(line *out, const live *l, const char *code)
{
    if (l->colour && out->bytes + 16 < sizeof out->text)
        out->bytes += (size_t)snprintf(out->text + out->bytes, 16, "\033[%sm", code);
}

static void add_time(line *out, double seconds)
{
    long whole = seconds > 0 && seconds < 1e9 ? (long)(seconds + 0.5) : 0;

    if (whole >= 3600)
        add(out, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        add(out, "%ld:%02ld", whole / 60, whole % 60);
}

/* ---- The loss curve -------------------------------------------------------------------------- */

static void curve_add(live *l, int64_t step, double loss)
{
    if (!isfinite(loss) || step % l->curve_stride)
        return;
    if (l->curve_count == CURVE_MOST) {
        for (size_t i = 0; i < CURVE_MOST / 2; i++)
            l->curve[i] = l->curve[2 * i + 1];
        l->curve_count = CURVE_MOST / 2;
        l->curve_stride *= 2;
    }
    l->curve[l->curve_count++] = (float)loss;
}

/* Means of equal shares of the whole run, scaled between their least and greatest. */
static void add_curve(line *out, const live *l)
{
    static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char *const plain[] = { ".", ".", ":", "-", "=", "+", "*", "#" };
    size_t columns = l->curve_count < CURVE_WIDTH ? l->curve_count : CURVE_WIDTH;
    double means[CURVE_WIDTH], least = INFINITY, most = -INFINITY;

    for (size_t i = 0; i < columns; i++) {
        size_t from = i * l->curve_count / columns, to = (i + 1) * l->curve_count / columns;
        double sum = 0;

        for (size_t j = from; j < to; j++)
            sum += (double)l->curve[j];
        means[i] = sum / (double)(to - from);
        least = fmin(least, means[i]);
        most = fmax(most, means[i]);
    }
    for (size_t i = 0; i < columns; i++) {
        int level = most > least ? (int)((means[i] - least) / (most - least) * 7.999) : 0;

        add(out, "%s", l->utf8 ? blocks[level] : plain[level]);
    }
}

/* ---- The block ------------------------------------------------------------------------------- */

static void bar_line(line *out, const live *l)
{
    const lorac_event *e = &l->last;
    double share = e->steps > 0 ? (double)e->step / (double)e->steps : 0;
    int width = out->width - 48, full;

    width = width < BAR_LEAST ? BAR_LEAST : width > BAR_MOST ? BAR_MOST : width;
    full = (int)(share * width + 0.5);
    add(out, "  ");
    add_colour(out, l, "32");
    for (int i = 0; i < width; i++) {
        if (i == full)
            add_colour(out, l, "2");
        add(out, "%s", i < full ? (l->utf8 ? "━" : "#") : (l->utf8 ? "─" : "-"));
    }
    add_colour(out, l, "0");
    add(out, "  %lld/%lld  %.0f%%  epoch %.2f  ETA ", (long long)e->step, (long long)e->steps, 100 * share, e->epoch);
    add_time(out, e->seconds_left);
}

static void loss_line(line *out, const live *l)
{
    add(out, "  loss ");
    add_colour(out, l, "1");
    add(out, "%.4f", l->last.loss);
    add_colour(out, l, "0");
    add(out, " ");
    add_colour(out, l, "36");
    add_curve(out, l);
    add_colour(out, l, "0");
    if (!isnan(l->eval_loss))
        add(out, "  val %.4f best %.4f", l->eval_loss, l->best);
    add(out, "  lr %.3g  grad %.3g", l->last.learning_rate, l->last.grad_norm);
}

static void speed_line(line *out, const live *l)
{
    add_colour(out, l, "2");
    add(out, "  %.0f tok/s  %.2f it/s  %lld tokens  peak %.2f GB  ", l->last.tokens_per_second,
        l->last.steps_per_second, (long long)l->last.trained_tokens, (double)l->last.peak_memory / 1e9);
    add_time(out, seconds_now() - l->started);
    add(out, " elapsed");
    add_colour(out, l, "0");
}

void live_erase(live *l)
{
    int width = terminal_width(), rows = 0;

    if (!l->drawn)
        return;
    for (int i = 0; i < l->drawn; i++)
        rows += l->cells[i] ? (l->cells[i] + width - 1) / width : 1;
    fprintf(stderr, "\r\033[%dA\033[J", rows);
    l->drawn = 0;
}

typedef void (*line_maker)(line *out, const live *l);

static void draw(live *l)
{
    static const line_maker makers[LINES] = { bar_line, loss_line, speed_line };
    int width = terminal_width();

    live_erase(l);
    for (int i = 0; i < LINES; i++) {
        line out = { .width = width - 1 };

        makers[i](&out, l);
        fprintf(stderr, "%.*s%s\n", (int)out.bytes, out.text, l->colour ? "\033[0m" : "");
        l->cells[i] = out.cells;
    }
    l->drawn = LINES;
    l->drawn_at = seconds_now();
    fflush(stderr);
}

/* Reports carry means over several steps; the curve takes each step once. */
void live_step(live *l, const lorac_event *event)
{
    if (event->kind == LORAC_EVENT_STEP)
        curve_add(l, event->step, event->loss);
    l->last = *event;
    if (!l->drawn || seconds_now() - l->drawn_at >= DRAW_SECONDS)
        draw(l);
}

void live_eval(live *l, const lorac_event *event)
{
    l->eval_loss = event->eval_loss;
    if (isnan(l->best) || event->eval_loss < l->best)
        l->best = event->eval_loss;
}

void live_finish(live *l)
{
    if (l->last.step)
        draw(l);
    l->drawn = 0;
}

void live_free(live *l)
{
    free(l);
}
