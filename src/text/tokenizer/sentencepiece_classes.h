/* sentencepiece_classes.h: what transformers (5.23) makes of a SentencePiece model in a folder, by the class that the
 * folder names: data for sentencepiece_folder.c. Knows nothing of tokenizers. */
#ifndef LORAC_SENTENCEPIECE_CLASSES_H
#define LORAC_SENTENCEPIECE_CLASSES_H

#include "folder_tokens.h"
#include "word_model.h"

/* Instead of an id of the unknown token. */
enum { UNKNOWN_NAMED = -1, UNKNOWN_NONE = -2 /* such characters vanish */, UNKNOWN_TRAINED = -3 };

typedef struct sentencepiece_class {
    const char *names; /* of tokenizer_class, without "Fast" */
    const char *types; /* of config.json's model_type, for folders that name no class */
    model_kind kind;
    const char *specials[SPECIAL_COUNT];
    const special_default *own;
    bool mask_left, mask_normalised; /* a mask token takes the white space on its left; is normalised */

    /* Tokens in front of the pieces, and how many pieces they take the place of; tokens behind the pieces. Words with
     * blanks between: "key=text" is what the files say under that key, else the text, and "-text" has the score -100.
     */
    const char *before, *behind;
    size_t replaced;
    bool once;             /* a string that is there already is left out, and special pieces are not added */
    const char *languages; /* special, some of `behind` */
    int64_t extra_ids;     /* "<extra_id_0>" .. that the model gains; the file may say another number */
    int64_t offset;        /* "<unk_2>" .. up to this, in front of the pieces; the file may say another number */
    int32_t unknown;       /* an id */
    bool bytes;            /* characters without a token go by bytes */

    const char *before_rules, *after_rules; /* normalizers around the model's own, which count with `rules`, as in a
                                             * tokenizer.json, in brackets; "if": an option of the files with "else"
                                             * for its default, or "rules"; "no" turns it round */
    bool rules;
    const char *steps; /* as in a tokenizer.json */
    bool takes_prefix; /* add_prefix_space counts */
    bool legacy;       /* so does legacy, and without a prefix decoding keeps the first blank */

    /* What is put around a text, and around two: "eos0" is that special token with the type 0, A and B are the texts,
     * lang is the language (src_lang). NULL: what add_bos_token and add_eos_token say. */
    const char *single, *pair, *language;
    bool legacy_behaviour; /* counts: the language comes last */
    bool gives_way;        /* to add_bos_token and add_eos_token */
    bool adds_bos;         /* where add_bos_token does not say otherwise */
} sentencepiece_class;

/* NULL: the folder names none of those. *refused: it names one that is read in a way which is not supported. */
const sentencepiece_class *sentencepiece_class_of(const folder_tokens *f, bool *refused);

#endif
