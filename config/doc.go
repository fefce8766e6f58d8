// SPDX-License-Identifier: Apache-2.0

// Package config reads what the operator wrote and hands it on typed.
//
// In go one YAML file, the lists of prefixes that it names, and the environment;
// out comes one [Config] that is complete and free of contradictions, or [Problems]
// with every mistake found. A value is taken from the first of these places that
// has it:
//
//  1. the environment, OP25B_<SECTION>_<KEY> (OP25B_LOG_LEVEL), for keys that
//     hold a single value. A variable that is set but empty counts as set;
//  2. the file;
//  3. [Default].
//
// Loading has four steps. The YAML tree is checked against the shape of
// Config: keys, groups, lists, and whether a value is text or a number. What
// passes is kept as text, so that from there on a value of the file and a value
// of the environment are the same thing. Then viper merges the three places and
// decodes them through one chain of hooks. Next the lists are read: they can be
// large, and so go line by line past YAML and viper, straight into the Config. At
// last the whole is validated. All steps run even if an earlier one found mistakes,
// and a mistake found earlier silences only those that would follow from it.
//
// Other files that it names, such as those of exemptions and leases, are not read
// here: their paths are resolved, and whoever needs them opens them.
//
// Nothing here watches the files or keeps state: a reload is another [Load], and
// [Config.RestartKeys] tells what such a reload could not apply.
package config
