// Package schemas holds what Spola knows in the words of others: the profiles and views of
// shop platforms, the reference ERP with its contract, the bridge's own tables, and the JSON
// Schemas of what stands on the topics. All of it is embedded; a platform may also be a
// directory named in the configuration.
package schemas
