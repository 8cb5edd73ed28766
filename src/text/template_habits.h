/* template_habits.h: what a chat template expects of a message where conventions differ: content as a text or as a list
 * of parts, the arguments of a call as an object or as JSON text. Found by rendering small conversations, never by
 * looking at the template's source; a message that the template cannot take is then made one that it can. */
#ifndef LORAC_TEMPLATE_HABITS_H
#define LORAC_TEMPLATE_HABITS_H

#include "template.h"

typedef enum habit_role { HABIT_SYSTEM, HABIT_USER, HABIT_ASSISTANT, HABIT_ROLES } habit_role;

/* What can be had in which form. */
typedef struct template_habits {
    struct {
        bool text, parts;
    } content[HABIT_ROLES];
    bool argument_text, argument_object;
} template_habits;

/* `model`: the model's own variables, as in template_input. */
int template_habits_find(const template *t, const json_t *model, template_habits *out);
/* Replaces messages of the array, which may be shared, by such as the template takes. */
int template_habits_suit(const template_habits *habits, json_t *messages);

#endif
