/* row_chat.h: conversations to text, and which bytes of it are to be trained. Between rows.c and the template engine.
 */
#ifndef LORAC_ROW_CHAT_H
#define LORAC_ROW_CHAT_H

#include "row_forms.h"
#include "rows.h"
#include "template_habits.h"

typedef struct region_list {
    text_region *items;
    size_t count, capacity;
} region_list;

typedef struct chat {
    const row_reader *reader;
    row_place place;
    const json_t *messages; /* as row_message_list gives them */
    json_t *tools;          /* ours; or NULL */
    const json_t *extra;    /* or NULL */
    buf text;               /* rendered */
    buf prefix;             /* a part of it, rendered alone */
    region_list regions;    /* the assistant's turns in `text` */
    bool last_only;         /* the last of them alone is being looked for */
    /* Of the template for conversations with tools, and of the one for those without. */
    struct known_habits {
        const template *of; /* NULL: not known yet */
        template_habits habits;
    } known[2];
} chat;

/* Changes messages that the template cannot take as they are. */
int chat_suit(chat *c, json_t *messages);
/* Renders the messages into `out` (cleared first). */
int chat_render(chat *c, const json_t *messages, bool add_generation_prompt, buf *out);
/* Renders c->messages into c->text and finds c->regions: every turn of the assistant, or the last alone. */
int chat_find_turns(chat *c, bool last_only);
/* The template of the conversation, for messages; chat_suit has been called. */
const char *chat_template_file(const chat *c);
void chat_free(chat *c);

#endif
