/* A peer's address, small enough to lie in every connection: 20 bytes. */
#ifndef VV_IO_ADDRESS_H
#define VV_IO_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

typedef enum vv_family { VV_FAMILY_NONE, VV_FAMILY_UNIX, VV_FAMILY_IPV4, VV_FAMILY_IPV6 } vv_family;

typedef struct vv_address {
    uint8_t bytes[16]; /* network order; IPv4 takes the first four */
    uint16_t port;     /* host order */
    uint8_t family;    /* vv_family */
} vv_address;

enum { VV_ADDRESS_TEXT_BYTES = 46 };

/* Writes the address without the port, ends in NUL; returns its length, 0 where there is none to show. An IPv4
 * address mapped into IPv6 is shown as IPv4. `out` has room for VV_ADDRESS_TEXT_BYTES. */
size_t vv_address_text(const vv_address *address, char *out);

#endif
