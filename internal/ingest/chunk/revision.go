package chunk

// Revision names how blocks are cut. It is raised with every change by which the same blocks and the same configuration
// may give other chunks, so that a version's lineage tells by which code it was cut.
const Revision = 1
