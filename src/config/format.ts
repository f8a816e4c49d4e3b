/**
 * The format of configurations. It grows with every release that takes what an older one would refuse or understand in
 * another way: a key, a value, a meaning. A release reads its own format and all before it. Each revision's file says which
 * it was written in, and a release says of itself which it reads, so that neither meets what it can't read unawares.
 */
export const CONFIGURATION_FORMAT = 1;
