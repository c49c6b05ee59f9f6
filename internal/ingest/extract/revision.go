package extract

// Revision names how files are read. It is raised with every change by which the same bytes may give other blocks, so that
// a version's lineage tells by which code it was read.
const Revision = 1
