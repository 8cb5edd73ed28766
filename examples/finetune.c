/* finetune.c: adapt a model to a file of rows, from C.
 *     finetune MODEL DATA OUTPUT [STEPS] */
#include <lorac.h>

#include <stdio.h>
#include <stdlib.h>

static int complain(void)
{
    fprintf(stderr, "finetune: %s\n", lorac_last_error()->message);
    return lorac_last_error()->status;
}

static void show(void *user, const lorac_event *event)
{
    (void)user;
    if (event->kind == LORAC_EVENT_REPORT)
        printf("step %lld of %lld: loss %.4f, %.0f tokens/s\n", (long long)event->step, (long long)event->steps,
               event->loss, event->tokens_per_second);
    if (event->kind == LORAC_EVENT_NOTE)
        printf("note: %s\n", event->text);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: finetune MODEL DATA OUTPUT [STEPS]\n");
        return LORAC_ERROR_USAGE;
    }
    lorac_model *model;
    if (lorac_model_open(&model, argv[1], NULL) != LORAC_OK)
        return complain();

    lorac_train_options options;
    lorac_train_options_init(&options);
    options.model = argv[1];
    options.data = argv[2];
    options.output = argv[3];
    options.rank = 8;
    options.batch_size = 8;
    options.learning_rate = 1e-3;
    options.steps = argc > 4 ? atoi(argv[4]) : 100;
    options.overwrite = 1;

    lorac_plan plan;
    if (lorac_train_plan(model, &options, &plan) != LORAC_OK)
        return complain();
    printf("%lld trainable parameters, %lld steps, %llu MB at most\n", (long long)plan.trainable_parameters,
           (long long)plan.steps, (unsigned long long)plan.peak / 1000000);

    lorac_watch watch = { .on_event = show };
    int status = lorac_train(model, &options, &watch) == LORAC_OK ? 0 : complain();
    lorac_train_options_clear(&options);
    lorac_model_close(model);
    return status;
}
