package sql

import "strings"

// provided are the lists of functions that a policy can name. None of them runs
// SQL, reads files, reaches the network, reveals settings or writes.
var provided = map[string]map[string]bool{
	"scalar": set(`abs acos age array_append array_cat array_length array_lower array_ndims array_position array_positions array_prepend array_remove
		array_replace array_to_string array_upper ascii asin atan atan2 bit_length btrim cardinality cbrt ceil ceiling char_length character_length chr
		concat concat_ws cos cot current_date current_time current_timestamp date_bin date_part date_trunc decode degrees div encode exp extract factorial
		floor format gcd initcap isfinite jsonb_array_length jsonb_extract_path jsonb_extract_path_text jsonb_build_array jsonb_build_object jsonb_typeof
		json_array_length json_build_array json_build_object json_extract_path json_extract_path_text json_typeof justify_days justify_hours
		justify_interval lcm left length like_escape ln localtime localtimestamp log log10 lower lpad ltrim make_date make_interval make_time
		make_timestamp make_timestamptz md5 mod normalize now octet_length overlay pi position power quote_ident quote_literal quote_nullable radians
		regexp_count regexp_instr regexp_like regexp_match regexp_replace regexp_substr repeat replace reverse right round row_to_json rpad rtrim
		scale sha224 sha256 sha384 sha512 sign similar_to_escape sin split_part sqrt starts_with statement_timestamp strpos string_to_array substr
		substring tan timezone to_char to_date to_hex to_json to_jsonb to_number to_timestamp transaction_timestamp translate trim_scale trunc upper
		width_bucket`),
	"aggregates": set(`avg bit_and bit_or bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank every first_value lag last_value
		lead max min mode nth_value ntile percent_rank percentile_cont percentile_disc rank regr_avgx regr_avgy regr_count row_number stddev stddev_pop
		stddev_samp sum var_pop var_samp variance`),
	// packing puts many rows into one value: a bound on rows does not hold them.
	"packing": set(`array_agg json_agg json_object_agg jsonb_agg jsonb_object_agg string_agg xmlagg`),
	// sets return rows from values.
	"sets": set(`generate_series generate_subscripts json_array_elements json_array_elements_text json_each json_each_text json_object_keys
		jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys regexp_matches regexp_split_to_array
		regexp_split_to_table string_to_table unnest`),
	"sequences": set(`nextval currval`),
}

func set(names string) map[string]bool { return within("pg_catalog", names) }

func within(schema, names string) map[string]bool {
	out := make(map[string]bool)
	for _, n := range strings.Fields(names) {
		out[schema+"."+n] = true
	}
	return out
}
