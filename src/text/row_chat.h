/* row_chat.h: conversations to text, and which bytes of it are to be trained. Between rows.c and the template engine.
 */
#ifndef LORAC_ROW_CHAT_H
#define LORAC_ROW_CHAT_H

#include "rows.h"

typedef struct region_list {
    text_region *items;
    size_t count, capacity;
} region_list;

/* Where a row stands, for messages. */
typedef struct row_place {
    const char *file;
    long line;
} row_place;

typedef struct chat {
    const row_reader *reader;
    row_place place;
    const json_t *messages;      /* checked: an array of objects with a role */
    const json_t *tools, *extra; /* or NULL */
    buf text;                    /* rendered */
    buf prefix;                  /* a part of it, rendered alone */
    region_list regions;         /* the assistant's turns in `text` */
} chat;

/* Checks an array of messages; `key` names it. */
int chat_check(const row_place *place, const json_t *messages, const char *key);
/* Renders the messages into `out` (cleared first). */
int chat_render(chat *c, const json_t *messages, bool add_generation_prompt, buf *out);
/* Renders c->messages into c->text and finds c->regions. */
int chat_find_turns(chat *c);
void chat_free(chat *c);

#endif
