/* inspect.c: lorac inspect. The library gives JSON; here it becomes lines for people. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MOST = 12 };

static void print_scalar(const json_t *value)
{
    char digits[32];
    char *text;

    if (json_is_string(value)) {
        print_text(stdout, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        fputs(grouped(json_integer_value(value), digits), stdout);
    } else {
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        fputs(text ? text : "", stdout);
        free(text);
    }
}

static bool is_flat(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_object(json_array_get(list, i)) || json_is_array(json_array_get(list, i)))
            return false;
    return true;
}

static void print_flat(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i)
            fputs(", ", stdout);
        if (i == LIST_MOST) {
            printf("... (%zu in all; --json has them)", json_array_size(list));
            break;
        }
        print_scalar(json_array_get(list, i));
    }
}

static void print_value(const char *key, const json_t *value, int indent);

static void print_members(json_t *object, int indent)
{
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        print_value(json_object_iter_key(at), json_object_iter_value(at), indent);
}

static void print_value(const char *key, const json_t *value, int indent)
{
    char name[64];
    size_t n = 0;

    for (; key[n] && n + 1 < sizeof name; n++)
        name[n] = (char)(key[n] == '_' ? ' ' : key[n]);
    name[n] = '\0';
    printf("%*s", indent, "");
    print_text(stdout, name, n);
    for (n += (size_t)indent; n < 24; n++)
        putchar(' ');
    putchar(' ');
    if (json_is_object(value)) {
        putchar('\n');
        print_members((json_t *)value, indent + 2);
        return;
    }
    if (json_is_array(value) && is_flat(value))
        print_flat(value);
    else if (json_is_array(value))
        printf("%zu entries (--json has them)", json_array_size(value));
    else
        print_scalar(value);
    putchar('\n');
}

/* As PEFT prints it, for a model with --peft-config. */
static void print_trainable(const json_t *about)
{
    const json_t *trainable = json_object_get(about, "trainable_parameters");
    const json_t *all = json_object_get(about, "all_parameters");
    char *line;

    if (!json_is_integer(trainable) || !json_is_integer(all))
        return;
    line = trainable_line(json_integer_value(trainable), json_integer_value(all));
    puts(line);
    free(line);
}

int command_inspect(arguments *a)
{
    char *path, *text;
    json_t *about;
    int status;

    if (!a->positional_count)
        return usage(a, NULL, NULL, "say what to look at: lorac inspect PATH");
    a->train.model = a->positional[0];
    status = resolve_model(a, &path);
    if (status != LORAC_OK)
        return status;
    status = lorac_inspect(path, a->train.peft_config, &text);
    free(path);
    if (status != LORAC_OK)
        return report(a, status);
    about = json_loads(text, JSON_ALLOW_NUL, NULL);
    if (a->json || !about) {
        puts(text);
    } else {
        print_members(about, 0);
        print_trainable(about);
    }
    json_decref(about);
    lorac_free(text);
    return LORAC_OK;
}
