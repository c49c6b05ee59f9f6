// Package database tests sources that are tables of a PostgreSQL, with the real binary: what is inserted, updated and
// deleted there is found, found changed, and not found any more.
package database
