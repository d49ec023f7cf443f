#include "core/router/table.h"

#include <stdlib.h>

enum { FIRST_BITS = 4 };

vv_words
vv_words_of_long(vv_span text)
{
    vv_words words = {text.len, 0};
    for (size_t i = 0; i + 16 < text.len; i += 16) {
        words.a = vv_mix(words.a ^ vv_load8(text.at + i));
        words.b = vv_mix(words.b + vv_load8(text.at + i + 8));
    }
    words.a = vv_mix(words.a ^ vv_load8(text.at + text.len - 16));
    words.b = vv_mix(words.b + vv_load8(text.at + text.len - 8));
    return words;
}

vv_key
vv_key_of(vv_span text, uint32_t owner)
{
    return (vv_key){.words = vv_words_of(text), .at = text.at, .size = vv_key_size(text.len, owner)};
}

void
vv_table_fini(vv_table *table)
{
    free(table->slots);
    *table = (vv_table){0};
}

static void
put(vv_table *table, vv_slot slot)
{
    size_t i = slot.hash >> table->shift;
    while (table->slots[i].key != NULL)
        i = (i + 1) & table->mask;
    table->slots[i] = slot;
}

static vv_status
grow(vv_table *table)
{
    unsigned bits = table->slots ? 64 - table->shift + 1 : FIRST_BITS;
    vv_table larger = *table;

    larger.slots = calloc((size_t)1 << bits, sizeof *larger.slots);
    if (larger.slots == NULL)
        return VV_E_NO_MEMORY;
    larger.mask = ((size_t)1 << bits) - 1;
    larger.shift = 64 - bits;
    for (size_t i = 0; table->slots && i <= table->mask; i++) {
        if (table->slots[i].key != NULL)
            put(&larger, table->slots[i]);
    }
    free(table->slots);
    *table = larger;
    return VV_OK;
}

vv_status
vv_table_add(vv_table *table, vv_key *key)
{
    if (table->slots == NULL || 2 * ((size_t)table->count + 1) > table->mask + 1) {
        vv_status st = grow(table);
        if (vv_failed(st))
            return st;
    }
    put(table, (vv_slot){vv_hash(key->words, key->size), key});
    table->count++;
    size_t len = vv_key_text(key).len;
    if (len >= table->bound)
        table->bound = len + 1;
    return VV_OK;
}
