// Package scale runs several processes of the real binary on one PostgreSQL and one Redis, loads them, kills them and takes
// their stores away. What they say of money, calls and limits is held against what the provider saw. Its tests are bounded
// to a minute and a half on two cores; AIRFIELD_LONG has the database away for more than a minute.
package scale
