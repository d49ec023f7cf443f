/* A table of texts, found by their bytes: open addressing, at most half full.
 *
 * A key is (owner, text): one table holds the segments of all nodes. Keys are the first member of what they lead to.
 * The hash is fixed, not seeded at random: only registered routes are in the table, so that nobody who sends paths can
 * make it collide; a look-up of any text takes as many probes as the routes alone have made likely.
 *
 * Ownership   the slots are the table's; keys and their texts are borrowed until vv_table_fini().
 * Threads     any number may search at once while nobody adds.
 * Cost        search: O(n) in the text's bytes, whatever the number of keys. Texts of up to 16 bytes are compared as
 *             two words, without touching memory elsewhere.
 */
#ifndef VV_ROUTER_TABLE_H
#define VV_ROUTER_TABLE_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

/* A text as two words. Texts of the same length up to 16 are equal if and only if their words are. */
typedef struct vv_words {
    uint64_t a, b;
} vv_words;

typedef struct vv_key {
    vv_words words;
    const uint8_t *at; /* borrowed */
    uint64_t size;     /* vv_key_size(): length and owner, so that one comparison tells both */
} vv_key;

typedef struct vv_slot {
    uint64_t hash;
    vv_key *key; /* borrowed; NULL: free */
} vv_slot;

typedef struct vv_table {
    vv_slot *slots;
    size_t mask;    /* slots - 1 */
    unsigned shift; /* a hash's top bits are its slot */
    uint32_t count;
    size_t bound; /* all texts are shorter: one that is not needs no look at the slots, nor a hash */
} vv_table;

/* A table of zeroes is an empty table. */
void vv_table_fini(vv_table *table);

/* Adds a key, of which there must be no equal. VV_OK or VV_E_NO_MEMORY. */
VV_NODISCARD vv_status vv_table_add(vv_table *table, vv_key *key);

/* A key for a text, which is borrowed. */
vv_key vv_key_of(vv_span text, uint32_t owner);

VV_INLINE uint64_t
vv_load8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

VV_INLINE uint64_t
vv_load4(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

VV_INLINE uint64_t
vv_mix(uint64_t hash)
{
    hash *= 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

/* Of more than 16 bytes. Out of line, so that short texts need few registers. */
vv_words vv_words_of_long(vv_span text) __attribute__((pure));

VV_INLINE vv_words
vv_words_of(vv_span text)
{
    const uint8_t *at = text.at;
    size_t len = text.len;

    if (VV_UNLIKELY(len > 16))
        return vv_words_of_long(text);
    if (len >= 8)
        return (vv_words){vv_load8(at), vv_load8(at + len - 8)};
    if (len >= 4)
        return (vv_words){vv_load4(at) | vv_load4(at + len - 4) << 32, 0};
    if (len > 0)
        return (vv_words){(uint64_t)at[0] | (uint64_t)at[len / 2] << 8 | (uint64_t)at[len - 1] << 16, 0};
    return (vv_words){0, 0};
}

VV_INLINE uint64_t
vv_key_size(size_t len, uint32_t owner)
{
    return (uint64_t)owner << 32 | (uint32_t)len;
}

VV_INLINE vv_span
vv_key_text(const vv_key *key)
{
    return vv_span_of(key->at, (uint32_t)key->size);
}

VV_INLINE uint64_t
vv_hash(vv_words words, uint64_t size)
{
    uint64_t hash = words.a ^ words.b * 0xC2B2AE3D27D4EB4Fu;
    hash = vv_mix(hash + size);
    return hash * 0xD6E8FEB86659FD93u;
}

VV_INLINE int
vv_key_is(const vv_key *key, vv_words words, vv_span text, uint32_t owner)
{
    return key->words.a == words.a && key->words.b == words.b && key->size == vv_key_size(text.len, owner) &&
           (text.len <= 16 || memcmp(key->at, text.at, text.len) == 0);
}

/* The key that equals (owner, text), or NULL. */
VV_INLINE vv_key *
vv_table_find(const vv_table *table, vv_span text, uint32_t owner)
{
    if (text.len >= table->bound)
        return NULL;

    vv_words words = vv_words_of(text);
    uint64_t hash = vv_hash(words, vv_key_size(text.len, owner));
    for (size_t i = hash >> table->shift;; i = (i + 1) & table->mask) {
        const vv_slot *slot = &table->slots[i];
        if (slot->key == NULL)
            return NULL;
        if (slot->hash == hash && vv_key_is(slot->key, words, text, owner))
            return slot->key;
    }
}

#endif
