/* builtin_templates.c: chat templates in the project's own words, one for each family of models. For texts by system,
 * user and assistant each gives what a published template of its family gives (tools/peers/builtin_templates.py
 * compares); what a family has no words for, other roles or tools, is refused. What the assistant says, its end of turn
 * included, stands in {% generation %}, so that exactly this is trained. */
#include "builtin_templates.h"

#include <string.h>

/* clang-format off */
#define EACH "{% for message in messages %}{% set role = message['role'] %}{% set content = message['content'] %}"
#define TRIM "{% set content = content | trim %}"
#define END "{% endfor %}"
#define SAY(text) "{{ " text " }}"
#define TRAIN(text) "{% generation %}{{ " text " }}{% endgeneration %}"
#define PROMPT(text) "{% if add_generation_prompt %}{{ " text " }}{% endif %}"
#define REFUSE "{{ raise_exception('this template knows no role ' ~ role) }}"

/* All roles alike: the head, then the body, which is trained where it is the assistant's. */
#define ALIKE(head, body)                                                             \
    "{% if role not in ['system', 'user', 'assistant'] %}" REFUSE "{% endif %}"       \
    SAY(head) "{% if role == 'assistant' %}" TRAIN(body) "{% else %}" SAY(body) "{% endif %}"
/* Each role in its own way; the assistant's head is not trained. */
#define APART(system, user, head, body)                                               \
    "{% if role == 'system' %}" system "{% elif role == 'user' %}" user               \
    "{% elif role == 'assistant' %}" head TRAIN(body) "{% else %}" REFUSE "{% endif %}"
/* Where a family has no words of its own for it, the system's text begins what the user says first. */
#define SYSTEM_FIRST                                                                  \
    "{% set first = '' %}{% if messages and messages[0]['role'] == 'system' %}"       \
    "{% set first = messages[0]['content'] %}{% set messages = messages[1:] %}{% endif %}"
#define FIRST "(first + '\\n\\n' if first and loop.first else '')"
#define LATE "{{ raise_exception('in this template only the first message can be the system\\'s') }}"

#define MISTRAL(inst, user_end, body)                                                 \
    SAY("bos_token") SYSTEM_FIRST                                                     \
    EACH APART(LATE, SAY("'" inst "' + " FIRST " + content + '" user_end "'"), "", body) END
#define MISTRAL_7(space)                                                              \
    SAY("bos_token")                                                                  \
    EACH APART(SAY("'[SYSTEM_PROMPT]" space "' + content + '[/SYSTEM_PROMPT]'"),      \
               SAY("'[INST]" space "' + content + '[/INST]'"), "", "'" space "' + content + eos_token") END
#define VICUNA(system)                                                                \
    SAY("bos_token")                                                                  \
    EACH APART(SAY(system), SAY("'USER: ' + content + '\\n'"),                        \
               SAY("'ASSISTANT:'"), "' ' + content + eos_token + '\\n'") END PROMPT("'ASSISTANT:'")
#define COHERE(who) "'<|START_OF_TURN_TOKEN|><|" who "_TOKEN|>'"

static const struct {
    const char *name, *text;
} table[] = {
    { "chatglm3", SAY("'[gMASK]sop'")
      EACH ALIKE("'<|' + role + '|>\\n '", "content") END PROMPT("'<|assistant|>'") },
    { "chatglm4", SAY("'[gMASK]<sop>'")
      EACH ALIKE("'<|' + role + '|>\\n'", "content") END PROMPT("'<|assistant|>'") },
    { "chatml",
      EACH ALIKE("'<|im_start|>' + role + '\\n'", "content + '<|im_end|>\\n'") END
      PROMPT("'<|im_start|>assistant\\n'") },
    { "command-r", SAY("bos_token")
      EACH TRIM APART(SAY(COHERE("SYSTEM") " + content + '<|END_OF_TURN_TOKEN|>'"),
                      SAY(COHERE("USER") " + content + '<|END_OF_TURN_TOKEN|>'"),
                      SAY(COHERE("CHATBOT")), "content + '<|END_OF_TURN_TOKEN|>'") END PROMPT(COHERE("CHATBOT")) },
    { "deepseek", SAY("bos_token")
      EACH APART(SAY("content"), SAY("'### Instruction:\\n' + content + '\\n'"),
                 SAY("'### Response:\\n'"), "content + '\\n<|EOT|>\\n'") END PROMPT("'### Response:\\n'") },
    { "deepseek2", SAY("bos_token")
      EACH APART(SAY("content + '\\n\\n'"), SAY("'User: ' + content + '\\n\\n'"),
                 SAY("'Assistant:'"), "' ' + content + eos_token") END PROMPT("'Assistant:'") },
    { "deepseek3", SAY("bos_token")
      EACH APART(SAY("content"), SAY("'<\uFF5CUser\uFF5C>' + content"), SAY("'<\uFF5CAssistant\uFF5C>'"),
                 "content + '<\uFF5Cend\u2581of\u2581sentence\uFF5C>'") END PROMPT("'<\uFF5CAssistant\uFF5C>'") },
    { "exaone3",
      "{% if not messages or messages[0]['role'] != 'system' %}" SAY("'[|system|][|endofturn|]\\n'") "{% endif %}"
      EACH APART(SAY("'[|system|]' + content + '[|endofturn|]\\n'"), SAY("'[|user|]' + content + '\\n'"),
                 SAY("'[|assistant|]'"), "content + '[|endofturn|]\\n'") END PROMPT("'[|assistant|]'") },
    { "falcon3",
      EACH ALIKE("'<|' + role + '|>\\n'", "content + '\\n'") END PROMPT("'<|assistant|>\\n'") },
    { "gemma", SAY("bos_token") SYSTEM_FIRST
      EACH TRIM APART(LATE, SAY("'<start_of_turn>user\\n' + " FIRST " + content + '<end_of_turn>\\n'"),
                      SAY("'<start_of_turn>model\\n'"), "content + '<end_of_turn>\\n'") END
      PROMPT("'<start_of_turn>model\\n'") },
    { "glmedge",
      EACH ALIKE("'<|' + role + '|>\\n'", "content") END PROMPT("'<|assistant|>\\n'") },
    { "granite",
      EACH ALIKE("'<|start_of_role|>' + role + '<|end_of_role|>'", "content + '<|end_of_text|>\\n'") END
      PROMPT("'<|start_of_role|>assistant<|end_of_role|>'") },
    { "kimi-k2",
      EACH ALIKE("'<|im_' + role + '|>' + role + '<|im_middle|>'", "content + '<|im_end|>'") END
      PROMPT("'<|im_assistant|>assistant<|im_middle|>'") },
    { "llama2", SYSTEM_FIRST
      EACH APART(LATE, SAY("bos_token + '[INST] ' + (('<<SYS>>\\n' + first + '\\n<</SYS>>\\n\\n' "
                           "if first and loop.first else '') + content).strip() + ' [/INST]'"),
                 "", "' ' + content | trim + ' ' + eos_token") END },
    { "llama3", SAY("bos_token")
      EACH ALIKE("'<|start_header_id|>' + role + '<|end_header_id|>\\n\\n'", "content | trim + '<|eot_id|>'") END
      PROMPT("'<|start_header_id|>assistant<|end_header_id|>\\n\\n'") },
    { "llama4", SAY("bos_token")
      EACH ALIKE("'<|header_start|>' + role + '<|header_end|>\\n\\n'", "content + '<|eot|>'") END
      PROMPT("'<|header_start|>assistant<|header_end|>\\n\\n'") },
    { "minicpm",
      EACH TRIM APART(SAY("content"), SAY("'<\u7528\u6237>' + content + '<AI>'"), "", "content") END },
    { "mistral-v1", MISTRAL(" [INST] ", " [/INST]", "' ' + content + eos_token") },
    { "mistral-v3", MISTRAL("[INST] ", "[/INST]", "' ' + content | trim + eos_token") },
    { "mistral-v3-tekken", MISTRAL("[INST]", "[/INST]", "content + eos_token") },
    { "mistral-v7", MISTRAL_7(" ") },
    { "mistral-v7-tekken", MISTRAL_7("") },
    { "monarch",
      EACH ALIKE("bos_token + role + '\\n'", "content + eos_token + '\\n'") END PROMPT("bos_token + 'assistant\\n'") },
    { "openchat", SAY("bos_token")
      EACH APART(SAY("content + '<|end_of_turn|>'"), SAY("'GPT4 Correct User: ' + content + '<|end_of_turn|>'"),
                 SAY("'GPT4 Correct Assistant:'"), "' ' + content + '<|end_of_turn|>'") END
      PROMPT("'GPT4 Correct Assistant:'") },
    { "orion", SAY("bos_token") SYSTEM_FIRST
      EACH APART(LATE, SAY("'Human: ' + " FIRST " + content + '\\n\\nAssistant: ' + eos_token"), "",
                 "content + eos_token") END },
    { "phi3",
      EACH ALIKE("'<|' + role + '|>\\n'", "content + '<|end|>\\n'") END PROMPT("'<|assistant|>\\n'") },
    { "phi4",
      EACH ALIKE("'<|im_start|>' + role + '<|im_sep|>'", "content + '<|im_end|>'") END
      PROMPT("'<|im_start|>assistant<|im_sep|>'") },
    { "seed_oss",
      EACH ALIKE("'<seed:bos>' + role + '\\n'",
                 "(content | trim if role == 'assistant' else content) + '<seed:eos>'") END
      PROMPT("'<seed:bos>assistant\\n'") },
    { "vicuna", VICUNA("content + '\\n\\n'") },
    { "vicuna-orca", VICUNA("'SYSTEM: ' + content + '\\n'") },
    { "zephyr",
      EACH ALIKE("'<|' + role + '|>\\n'", "content + eos_token + '\\n'") END PROMPT("'<|assistant|>\\n'") },
};
/* clang-format on */

enum { COUNT = sizeof table / sizeof *table };

slice builtin_template(slice name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (slice_is(name, table[i].name))
            return slice_of(table[i].text);
    return (slice){ NULL, 0 };
}

const char *builtin_template_name(size_t i)
{
    return i < COUNT ? table[i].name : NULL;
}
