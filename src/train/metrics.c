/* metrics.c */
#include "metrics.h"

#include "err.h"
#include "json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

int metrics_open(metrics *m, const char *path, int64_t bytes)
{
    struct stat info;

    *m = (metrics){ .path = path, .bytes = bytes };
    m->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (m->fd < 0)
        return fail_errno(path, "open");
    if (fstat(m->fd, &info) != 0 || info.st_size < bytes) {
        metrics_close(m);
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .hint = "Start the run again." },
                       "the file is shorter than when the checkpoint was written");
    }
    if (ftruncate(m->fd, bytes) != 0 || lseek(m->fd, bytes, SEEK_SET) != bytes) {
        int status = fail_errno(path, "cut");

        metrics_close(m);
        return status;
    }
    return LORAC_OK;
}

void metrics_close(metrics *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

static void add_int(buf *b, const char *key, int64_t value)
{
    buf_format(b, "%s\"%s\": %" PRId64, b->n ? ", " : "{", key, value);
}

static void add_real(buf *b, const char *key, double value)
{
    buf_format(b, "%s\"%s\": ", b->n ? ", " : "{", key);
    buf_real(b, value);
}

static int write_line(metrics *m, buf *line)
{
    int status;
    ssize_t written;

    buf_text(line, "}\n");
    status = buf_status(line);
    written = status == LORAC_OK ? write(m->fd, line->p, line->n) : 0;
    if (status == LORAC_OK && written != (ssize_t)line->n)
        status = fail_errno(m->path, "write");
    else
        m->bytes += written;
    buf_free(line);
    return status;
}

int metrics_report(metrics *m, const lorac_event *report)
{
    buf line = { 0 };

    add_int(&line, "step", report->step);
    add_real(&line, "epoch", report->epoch);
    add_real(&line, "loss", report->loss);
    add_real(&line, "learning_rate", report->learning_rate);
    add_real(&line, "grad_norm", report->grad_norm);
    add_int(&line, "tokens", report->tokens);
    add_int(&line, "trained_tokens", report->trained_tokens);
    add_real(&line, "tokens_per_second", report->tokens_per_second);
    add_real(&line, "steps_per_second", report->steps_per_second);
    add_int(&line, "peak_memory", (int64_t)report->peak_memory);
    return write_line(m, &line);
}

int metrics_eval(metrics *m, const lorac_event *eval, double accuracy, int64_t eval_tokens)
{
    buf line = { 0 };

    add_int(&line, "step", eval->step);
    add_real(&line, "epoch", eval->epoch);
    add_real(&line, "eval_loss", eval->eval_loss);
    add_real(&line, "eval_accuracy", accuracy);
    add_int(&line, "eval_tokens", eval_tokens);
    add_real(&line, "eval_seconds", eval->eval_seconds);
    return write_line(m, &line);
}

int metrics_sync(metrics *m)
{
    return fdatasync(m->fd) == 0 ? LORAC_OK : fail_errno(m->path, "sync");
}
