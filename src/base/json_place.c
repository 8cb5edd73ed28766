/* json_place.c: walks over a text that a parser has accepted, without recursion. On any other text the result means
 * nothing, but lies within it. Keys are compared as they are written. */
#include "json_place.h"

#include <stdlib.h>
#include <string.h>

static size_t skip_space(slice text, size_t at)
{
    while (at < text.n && (strchr(" \t\r\n,:", text.p[at]) && text.p[at]))
        at++;
    return at;
}

static size_t skip_string(slice text, size_t at)
{
    for (at++; at < text.n && text.p[at] != '"'; at++)
        at += text.p[at] == '\\';
    return at < text.n ? at + 1 : text.n;
}

static size_t skip_value(slice text, size_t at)
{
    int depth = 0;

    do {
        at = skip_space(text, at);
        if (at >= text.n)
            return text.n;
        if (text.p[at] == '"') {
            at = skip_string(text, at);
        } else if (strchr("[{", text.p[at]) && text.p[at]) {
            depth++;
            at++;
        } else if (strchr("]}", text.p[at]) && text.p[at]) {
            depth--;
            at++;
        } else {
            at++;
            while (at < text.n && (!strchr(" \t\r\n,:[]{}\"", text.p[at]) || !text.p[at]))
                at++;
        }
    } while (depth > 0);
    return at;
}

/* The element `index` of the array at *at. */
static bool enter_array(slice text, size_t *at, size_t index)
{
    size_t i = *at;

    if (i >= text.n || text.p[i] != '[')
        return false;
    i = skip_space(text, i + 1);
    for (size_t k = 0; k < index && i < text.n && text.p[i] != ']'; k++)
        i = skip_space(text, skip_value(text, i));
    if (i >= text.n || text.p[i] == ']')
        return false;
    *at = i;
    return true;
}

/* The value of `key` in the object at *at. */
static bool enter_object(slice text, size_t *at, slice key)
{
    size_t i = *at;

    if (i >= text.n || text.p[i] != '{')
        return false;
    for (i = skip_space(text, i + 1); i < text.n && text.p[i] == '"';) {
        size_t end = skip_string(text, i);
        bool same = end - i == key.n + 2 && memcmp(text.p + i + 1, key.p, key.n) == 0;

        i = skip_space(text, end);
        if (same && i < text.n) {
            *at = i;
            return true;
        }
        i = skip_space(text, skip_value(text, i));
    }
    return false;
}

size_t json_offset(slice text, const char *path)
{
    size_t at = skip_space(text, slice_starts(text, "\xEF\xBB\xBF") ? 3 : 0);

    while (*path) {
        if (*path == '[') {
            char *end;
            size_t index = strtoull(path + 1, &end, 10);

            if (*end != ']' || !enter_array(text, &at, index))
                return at;
            path = end + 1;
        } else {
            size_t n = strcspn(path, ".[");

            if (!n || !enter_object(text, &at, (slice){ path, n }))
                return at;
            path += n;
        }
        path += *path == '.';
    }
    return at;
}
