/* labels.h: the classes of a classifier, as its config.json names them, and the token at which a text is classified.
 * Knows no weights and no rows. */
#ifndef LORAC_LABELS_H
#define LORAC_LABELS_H

#include "arena.h"
#include "json.h"
#include "map.h"

typedef struct label_set {
    int64_t count;
    const char **names;  /* by number, from id2label; "LABEL_0" ... where nothing names them */
    const char *problem; /* a problem_type other than one class a text, or NULL */
    map numbers;         /* by name, from label2id */
    arena memory;
} label_set;

/* Is config.json's first architecture a ...ForSequenceClassification? */
bool config_is_classifier(const json_t *config);
/* What config.json says; transformers' two labels where it says nothing. `config` may be NULL. */
int labels_read(label_set *out, const json_t *config, const char *file);
/* So many labels without names of their own. */
int labels_make(label_set *out, int64_t count);
void labels_free(label_set *l);

/* Where a decoder classifies a text: at the last id that is not `pad` (-1: none); at the first when all are. */
size_t class_position(const int32_t *ids, size_t count, int32_t pad);

#endif
