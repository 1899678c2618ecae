/* daemon/config_check.h - what values must be beyond their type: ranges, words, URLs, and what goes together.
 */
#ifndef DAEMON_CONFIG_CHECK_H
#define DAEMON_CONFIG_CHECK_H

#include "config.h"
#include "config_schema.h"
#include "config_tree.h"

/* The merged tree is for naming file and line. 0, or -EINVAL with one line in err. */
int config_check(const struct config *config, const struct config_node *root, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* Says in words what the key at `node` takes ("expected a whole number from 1 to 600"), or that there is no
 * such key; for structural errors. Returns -EINVAL. */
int config_check_expected(const struct config_node *node, char *err, size_t err_size);

/* Is this key one of ours, at this place? */
bool config_check_known(const struct config_node *node);

/* Topics a cluster has: enum pgd_topic bits. */
uint32_t config_check_topics(enum pgd_cluster cluster);

/* The node of a section's struct: "" is the root, "bus.bars" the list. */
const struct config_node *config_check_section(const struct config_node *root, const char *name);

#endif
