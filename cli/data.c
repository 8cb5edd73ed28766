/* data.c: lorac data check, show and stats. */
#include "highlight.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_STANDARD = 3, LONG_ROW_STANDARD = 2048, BUCKETS = 16 };

static lorac_data_options row_options(const arguments *a, int64_t limit)
{
    return (lorac_data_options){ .loss_on = (lorac_loss_on)a->train.loss_on,
                                 .max_seq_length = limit,
                                 .threads = a->train.threads,
                                 .task = a->train.task,
                                 .labels = a->train.num_labels };
}

static int check_flags(const arguments *a)
{
    return a->train.data
               ? LORAC_OK
               : usage(a, "data", "Give a .jsonl, .csv or .tsv file, or a folder.", "say which rows with --data");
}

/* ---- check ----------------------------------------------------------------------------------- */

typedef struct findings {
    const arguments *a;
    json_t *errors;
    int64_t rows, bad, cut, turns, untrained; /* untrained: by the cut */
    int64_t endless;
    const char *chat_template; /* of the endless */
} findings;

static void add_finding(findings *f, const lorac_error *e)
{
    f->bad++;
    if (f->a->json)
        json_array_append_new(f->errors, error_json(e));
    else
        report_error(f->a, e);
}

/* A row that is whole and has nothing to train is a mistake. */
static void add_untrained(findings *f, const lorac_row *row)
{
    char *message = format_text("%s:%ld:1: the row has no trained token. Look at it with lorac data show, or choose "
                                "another --loss-on.",
                                row->file, row->line);

    add_finding(f, &(lorac_error){ .status = LORAC_ERROR_DATA,
                                   .message = message,
                                   .file = row->file,
                                   .line = row->line,
                                   .column = 1,
                                   .found = "no trained token",
                                   .expected = "at least one" });
    free(message);
}

static void check_row(findings *f, const lorac_row *row)
{
    f->cut += row->truncated;
    f->turns += row->turn_cut;
    f->endless += row->endless_template != NULL;
    if (row->endless_template)
        f->chat_template = row->endless_template;
    if (!row->whole_trained)
        add_untrained(f, row);
    else if (!row->trained)
        f->untrained++;
}

static int check_split(findings *f, const lorac_text *text, const char *path, const char *split)
{
    lorac_data_options options = row_options(f->a, f->a->limit);
    lorac_data *data;
    size_t count;
    int status = lorac_data_open(&data, text, path, split, &options);

    if (status == LORAC_ERROR_DATA) {
        add_finding(f, lorac_last_error());
        return LORAC_OK;
    }
    if (status != LORAC_OK)
        return report(f->a, status);
    count = lorac_data_count(data);
    f->rows += (int64_t)count;
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        lorac_row row;

        status = lorac_data_row(data, i, &row);
        if (status == LORAC_ERROR_DATA) {
            add_finding(f, lorac_last_error());
            status = LORAC_OK;
        } else if (status != LORAC_OK) {
            report(f->a, status);
        } else {
            check_row(f, &row);
        }
    }
    lorac_data_close(data);
    return status;
}

static bool has_split(const char *folder, const char *split)
{
    static const char *const endings[] = { "jsonl", "csv", "tsv" };
    bool found = false;

    for (size_t i = 0; i < sizeof endings / sizeof *endings && !found; i++) {
        char *path = format_text("%s/%s.%s", folder, split, endings[i]);

        found = access(path, F_OK) == 0;
        free(path);
    }
    return found;
}

static int check_source(findings *f, const lorac_text *text, const char *path)
{
    static const char *const splits[] = { "train", "valid", "test" };
    int status = LORAC_OK;
    size_t found = 0;

    if (!path_is_directory(path))
        return check_split(f, text, path, NULL);
    for (size_t i = 0; i < sizeof splits / sizeof *splits && status == LORAC_OK; i++) {
        if (has_split(path, splits[i])) {
            found++;
            status = check_split(f, text, path, splits[i]);
        }
    }
    return found ? status : check_split(f, text, path, "train"); /* the library says what is missing */
}

/* One by one: what is wrong with one is no reason to leave out the others. */
static int check_all(findings *f, const lorac_text *text)
{
    const char *list = f->a->train.data;
    size_t count = 0;
    char *path;

    for (;; count++) {
        int status = lorac_data_source(list, count, &path);

        if (status != LORAC_OK)
            return report(f->a, status);
        if (!path)
            break;
        status = check_source(f, text, path);
        lorac_free(path);
        if (status != LORAC_OK)
            return status;
    }
    return count ? LORAC_OK : check_split(f, text, list, NULL); /* the library says that none is named */
}

static void print_findings(findings *f)
{
    json_t *o;

    if (!f->a->json) {
        fprintf(stderr, "%lld rows, %lld bad\n", (long long)f->rows, (long long)f->bad);
        note_cut_rows(f->cut, f->turns, f->untrained);
        note_endless_rows(f->endless, f->chat_template);
        return;
    }
    o = json_object();
    if (f->bad)
        json_object_set(o, "error", json_array_get(f->errors, 0));
    json_object_set_new(o, "rows", json_integer(f->rows));
    json_object_set_new(o, "bad", json_integer(f->bad));
    json_object_set_new(o, "truncated", json_integer(f->cut));
    json_object_set_new(o, "cut_turns", json_integer(f->turns));
    json_object_set_new(o, "dropped", json_integer(f->untrained));
    json_object_set_new(o, "endless", json_integer(f->endless));
    json_object_set(o, "errors", f->errors);
    print_json(o);
}

int command_data_check(arguments *a)
{
    findings f = { .a = a };
    lorac_text *text;
    int status = check_flags(a);

    if (status == LORAC_OK)
        status = open_text(a, &text);
    if (status != LORAC_OK)
        return status;
    f.errors = json_array();
    status = check_all(&f, text);
    if (status == LORAC_OK) {
        print_findings(&f);
        status = f.bad ? LORAC_ERROR_DATA : LORAC_OK;
    }
    json_decref(f.errors);
    lorac_text_close(text);
    return status;
}

/* ---- show ------------------------------------------------------------------------------------ */

static void print_row_json(const lorac_row *row)
{
    json_t *o = json_object();

    json_object_set_new(o, "input_ids", json_ids(row->ids, row->count));
    if (row->label >= 0)
        json_object_set_new(o, "label", json_integer(row->label));
    else
        json_object_set_new(o, "labels", json_ids(row->labels, row->count));
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static int show_rows(const arguments *a, const lorac_text *text, lorac_data *data)
{
    size_t count = lorac_data_count(data);
    size_t most = given(a, "rows") ? (size_t)a->rows : a->json ? count : SHOWN_STANDARD;
    bool classified = false;

    for (size_t i = 0; i < count && i < most; i++) {
        lorac_row row;
        int status = lorac_data_row(data, i, &row);

        if (status != LORAC_OK)
            return report(a, status);
        if (a->json) {
            print_row_json(&row);
            continue;
        }
        classified = row.label >= 0;
        print_text(stdout, row.file, strlen(row.file));
        printf(":%ld  %zu tokens, ", row.line, row.count);
        if (classified)
            printf("label %lld", (long long)row.label);
        else
            printf("%zu trained", row.trained);
        if (row.truncated)
            printf(", cut from %zu%s", row.whole_count, row.turn_cut ? " within a trained turn" : "");
        putchar('\n');
        print_row(stdout, text, &row, 0);
        putchar('\n');
    }
    if (!a->json)
        print_row_legend(stdout, classified);
    return LORAC_OK;
}

int command_data_show(arguments *a)
{
    lorac_data_options options = row_options(a, a->limit);
    lorac_text *text = NULL;
    lorac_data *data = NULL;
    int status = check_flags(a);

    if (status == LORAC_OK)
        status = open_text(a, &text);
    if (status == LORAC_OK && lorac_data_open(&data, text, a->train.data, a->split, &options) != LORAC_OK)
        status = report(a, lorac_last_error()->status);
    if (status == LORAC_OK)
        status = show_rows(a, text, data);
    lorac_data_close(data);
    lorac_text_close(text);
    return status;
}

/* ---- stats ----------------------------------------------------------------------------------- */

typedef struct lengths {
    int64_t *counts; /* tokens of each row, sorted */
    size_t rows;
    int64_t tokens, trained, longer, turns, untrained, limit;
} lengths;

static int compare_counts(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int measure(const arguments *a, lorac_data *data, lengths *l)
{
    l->rows = lorac_data_count(data);
    l->counts = allocate(l->rows, sizeof *l->counts);
    for (size_t i = 0; i < l->rows; i++) {
        lorac_row row;
        int status = lorac_data_row(data, i, &row);

        if (status != LORAC_OK)
            return report(a, status);
        l->counts[i] = (int64_t)row.whole_count;
        l->tokens += (int64_t)row.whole_count;
        l->trained += (int64_t)row.whole_trained;
        l->longer += row.truncated;
        l->turns += row.turn_cut;
        l->untrained += row.whole_trained && !row.trained;
    }
    qsort(l->counts, l->rows, sizeof *l->counts, compare_counts);
    return LORAC_OK;
}

static int64_t quantile(const lengths *l, double share)
{
    return l->rows ? l->counts[(size_t)(share * (double)(l->rows - 1) + 0.5)] : 0;
}

/* Equal steps between the least and the greatest length; returns how many there are. */
static int fill_buckets(const lengths *l, int64_t from[BUCKETS + 1], int64_t rows[BUCKETS])
{
    int64_t least = quantile(l, 0), span = quantile(l, 1) - least + 1;
    int64_t step = (span + BUCKETS - 1) / BUCKETS;
    int count = (int)((span + step - 1) / step);

    for (int i = 0; i <= count; i++)
        from[i] = least + i * step;
    memset(rows, 0, BUCKETS * sizeof *rows);
    for (size_t i = 0; i < l->rows; i++)
        rows[(l->counts[i] - least) / step]++;
    return count;
}

static void print_bars(const lengths *l)
{
    int64_t from[BUCKETS + 1], rows[BUCKETS], most = 1;
    int count = fill_buckets(l, from, rows), width = terminal_width() - 32;

    if (width > 60)
        width = 60;
    for (int i = 0; i < count; i++)
        most = rows[i] > most ? rows[i] : most;
    for (int i = 0; i < count; i++) {
        printf("  %6lld - %-6lld %7lld  ", (long long)from[i], (long long)(from[i + 1] - 1), (long long)rows[i]);
        for (int64_t j = 0; j < (rows[i] * width + most - 1) / most; j++)
            fputs(has_utf8() ? "█" : "#", stdout);
        putchar('\n');
    }
}

static void print_lengths(const lengths *l)
{
    char a[32], b[32];

    printf("rows        %zu\ntokens      %s, %s of them trained\n", l->rows, grouped(l->tokens, a),
           grouped(l->trained, b));
    if (!l->rows)
        return;
    printf("length      mean %.1f, median %lld, 95 %% below %lld, longest %lld\n", (double)l->tokens / (double)l->rows,
           (long long)quantile(l, 0.5), (long long)quantile(l, 0.95), (long long)quantile(l, 1));
    printf("too long    %lld rows (%.1f %%) have more than %lld tokens (--max-seq-length)\n", (long long)l->longer,
           100.0 * (double)l->longer / (double)l->rows, (long long)l->limit);
    if (l->longer)
        printf(
            "            %lld would be cut within a trained turn, which loses its end; %lld to nothing left to train\n",
            (long long)l->turns, (long long)l->untrained);
    putchar('\n');
    print_bars(l);
}

static void print_lengths_json(const lengths *l)
{
    json_t *o = json_object(), *histogram = json_array();
    int64_t from[BUCKETS + 1], rows[BUCKETS];
    int count = l->rows ? fill_buckets(l, from, rows) : 0;

    for (int i = 0; i < count; i++)
        json_array_append_new(histogram, json_pack("{s:I,s:I,s:I}", "from", (json_int_t)from[i], "to",
                                                   (json_int_t)(from[i + 1] - 1), "rows", (json_int_t)rows[i]));
    json_object_set_new(o, "rows", json_integer((json_int_t)l->rows));
    json_object_set_new(o, "tokens", json_integer(l->tokens));
    json_object_set_new(o, "trained_tokens", json_integer(l->trained));
    json_object_set_new(o, "mean", json_number(l->rows ? (double)l->tokens / (double)l->rows : 0));
    json_object_set_new(o, "median", json_integer(quantile(l, 0.5)));
    json_object_set_new(o, "p95", json_integer(quantile(l, 0.95)));
    json_object_set_new(o, "longest", json_integer(quantile(l, 1)));
    json_object_set_new(o, "max_seq_length", json_integer(l->limit));
    json_object_set_new(o, "truncated", json_integer(l->longer));
    json_object_set_new(o, "cut_turns", json_integer(l->turns));
    json_object_set_new(o, "dropped", json_integer(l->untrained));
    json_object_set_new(o, "truncated_percent", json_number(l->rows ? 100.0 * (double)l->longer / (double)l->rows : 0));
    json_object_set_new(o, "histogram", histogram);
    print_json(o);
}

int command_data_stats(arguments *a)
{
    lengths l = { .limit = a->limit ? a->limit : LONG_ROW_STANDARD };
    lorac_data_options options = row_options(a, l.limit);
    lorac_text *text = NULL;
    lorac_data *data = NULL;
    int status = check_flags(a);

    if (status == LORAC_OK)
        status = open_text(a, &text);
    if (status == LORAC_OK && lorac_data_open(&data, text, a->train.data, a->split, &options) != LORAC_OK)
        status = report(a, lorac_last_error()->status);
    if (status == LORAC_OK)
        status = measure(a, data, &l);
    if (status == LORAC_OK && a->json)
        print_lengths_json(&l);
    else if (status == LORAC_OK)
        print_lengths(&l);
    free(l.counts);
    lorac_data_close(data);
    lorac_text_close(text);
    return status;
}
