/* completion.c: lorac completion bash: a script made from the tables of commands and flags. */
#include "cli.h"

#include <string.h>

static bool print_flag_word(void *user, const flag *f)
{
    (void)user;
    if (f->group)
        printf(" --%s%s", switches_off(f) ? "no-" : "", f->name);
    return false;
}

static bool print_choices(void *user, const flag *f)
{
    if (!f->choices || (f->kind != FLAG_CHOICE && f->kind != FLAG_TEXT))
        return false;
    printf("    '%s --%s') words='", (const char *)user, f->name);
    for (const char *at = f->choices; *at; at++)
        putchar(*at == ',' ? ' ' : *at);
    printf("' ;;\n");
    return false;
}

static void print_commands(void)
{
    printf("    '') words='");
    for (size_t i = 0; i < command_count; i++)
        if (!strchr(commands[i].name, ' '))
            printf("%s ", commands[i].name);
    printf("data --help --version' ;;\n    'data') words='check show stats' ;;\n");
    printf("    'completion') words='bash' ;;\n    '%s') words='", "pull");
    for (size_t i = 0; i < catalogue_count; i++)
        if (catalogue[i].package)
            printf("%s ", catalogue[i].name);
    printf("--list --json' ;;\n");
}

int command_completion(arguments *a)
{
    if (!a->positional_count || strcmp(a->positional[0], "bash") != 0)
        return usage(a, NULL, NULL, "completion is there for bash: lorac completion bash");
    printf("# source <(lorac completion bash)\n_lorac()\n{\n"
           "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= i\n"
           "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "    case ${COMP_WORDS[i]} in\n"
           "      -*) break ;;\n"
           "      check|show|stats) [[ $command == data ]] && command='data '${COMP_WORDS[i]}; break ;;\n"
           "      *) [[ -z $command ]] && command=${COMP_WORDS[i]} || break ;;\n"
           "    esac\n  done\n"
           "  [[ $before == -m || $before == --model ]] && words='");
    for (size_t i = 0; i < catalogue_count; i++)
        printf("%s%s", i ? " " : "", catalogue[i].name);
    printf("'\n  case \"$command $before\" in\n");
    for (size_t i = 0; i < command_count; i++)
        each_flag(&commands[i], print_choices, (void *)commands[i].name);
    printf("  esac\n  [[ -z $words && ( -z $command || $current == -* || $command == data || $command == pull || "
           "$command == completion ) ]] && case $command in\n");
    print_commands();
    for (size_t i = 0; i < command_count; i++) {
        if (!strcmp(commands[i].name, "pull"))
            continue;
        if (!strcmp(commands[i].name, "completion"))
            continue;
        printf("    '%s') words='--help", commands[i].name);
        each_flag(&commands[i], print_flag_word, NULL);
        printf("' ;;\n");
    }
    printf("  esac\n"
           "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
           "  [[ -z $words || ${#COMPREPLY[@]} == 0 ]] && mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
           "}\ncomplete -o filenames -F _lorac lorac\n");
    return LORAC_OK;
}
