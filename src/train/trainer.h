/* trainer.h: a whole training run: from options to an adapter in a folder. lorac_train, lorac_resume and
 * lorac_train_plan are thin covers of these. */
#ifndef LORAC_TRAINER_H
#define LORAC_TRAINER_H

#include "chat_templates.h"
#include "model.h"
#include "tokenizer.h"

typedef struct trainer_input {
    const model *model;
    const tokenizer *words;          /* NULL: only pre-tokenised rows can be read */
    const chat_templates *templates; /* NULL: there are none */
    const gguf *vocabulary;          /* the file that `words` came from; NULL when that is a folder */
    const lorac_text *text;          /* both of them as the caller of the library knows them, for events; may be NULL */
    const lorac_train_options *options;
    lorac_watch *watch; /* may be NULL */
    bool resume;        /* go on with the run in options->output */
} trainer_input;

int trainer_run(const trainer_input *in);
int trainer_plan(const trainer_input *in, lorac_plan *out);

#endif
