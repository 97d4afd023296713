package sql

import "strings"

// The closed lists of introspection: what clients ask to learn which tables there
// are, and no more. What could hold a secret or a row's value is not in them:
// passwords and their hashes, statistics of values, large objects, settings, other
// sessions' statements, files of the server, and the options of foreign servers and
// subscriptions, which hold logins. SPEC SQL-10.
var (
	introspected = func() map[string]bool {
		out := set(`pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_cast pg_class pg_collation pg_constraint pg_conversion
			pg_database pg_default_acl pg_depend pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper pg_foreign_server
			pg_foreign_table pg_index pg_indexes pg_inherits pg_init_privs pg_language pg_matviews pg_namespace pg_opclass pg_operator pg_opfamily
			pg_partitioned_table pg_policies pg_policy pg_proc pg_publication pg_publication_namespace pg_publication_rel pg_publication_tables
			pg_range pg_rewrite pg_roles pg_rules pg_seclabels pg_sequence pg_shdepend pg_shdescription pg_statistic_ext pg_subscription pg_tables pg_tablespace
			pg_transform pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_views`)
		for n := range within("information_schema", `applicable_roles attributes character_sets check_constraint_routine_usage check_constraints collations
			collation_character_set_applicability column_column_usage column_domain_usage column_privileges column_udt_usage columns
			constraint_column_usage constraint_table_usage data_type_privileges domain_constraints domain_udt_usage domains element_types
			enabled_roles foreign_tables information_schema_catalog_name key_column_usage parameters referential_constraints
			role_column_grants role_routine_grants role_table_grants role_udt_grants role_usage_grants routine_column_usage
			routine_privileges routine_routine_usage routine_sequence_usage routine_table_usage routines schemata sequences sql_features
			sql_implementation_info sql_parts sql_sizing table_constraints table_privileges tables transforms triggered_update_columns triggers
			udt_privileges usage_privileges user_defined_types view_column_usage view_routine_usage view_table_usage views`) {
			out[n] = true
		}
		return out
	}()
	// hidden are columns of those that are left out.
	hidden = set(`pg_attribute.attfdwoptions pg_attribute.attmissingval pg_foreign_data_wrapper.fdwoptions pg_foreign_server.srvoptions pg_foreign_table.ftoptions
		pg_roles.rolpassword pg_roles.rolconfig pg_subscription.subconninfo`)
	introspecting = set(`acldefault aclexplode col_description current_catalog current_database current_role current_schema
		current_schemas current_user format_type getdatabaseencoding has_any_column_privilege has_column_privilege has_database_privilege
		has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege has_parameter_privilege has_schema_privilege
		has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege obj_description
		pg_char_to_encoding pg_client_encoding pg_collation_for pg_collation_is_visible pg_column_is_updatable pg_conversion_is_visible
		pg_database_size pg_describe_object pg_encoding_max_length pg_encoding_to_char pg_function_is_visible pg_get_constraintdef pg_get_expr
		pg_get_function_arg_default pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
		pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_partition_constraintdef pg_get_partkeydef
		pg_get_publication_tables pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
		pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role
		pg_identify_object pg_index_column_has_property pg_index_has_property pg_indexam_has_property pg_indexes_size
		pg_is_in_recovery pg_is_other_temp_schema pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible
		pg_partition_ancestors pg_partition_root pg_partition_tree pg_relation_is_publishable pg_relation_is_updatable pg_relation_size
		pg_size_pretty pg_statistics_obj_is_visible pg_table_is_visible pg_table_size pg_total_relation_size pg_ts_config_is_visible
		pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible pg_typeof row_security_active
		session_user shobj_description to_regclass to_regcollation to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure
		to_regrole to_regtype ts_token_type user version`)
	informationSchema = within("information_schema", `cardinal_number character_data sql_identifier time_stamp yes_or_no _pg_char_max_length
		_pg_char_octet_length _pg_datetime_precision _pg_expandarray _pg_index_position _pg_interval_type _pg_keysequal _pg_numeric_precision
		_pg_numeric_precision_radix _pg_numeric_scale _pg_truetypid _pg_truetypmod`)
)

// introspectedRelation reports whether reading a relation is introspection, and
// introspectedColumn whether reading a column is.
func introspectedRelation(r *Relation) bool {
	return r.Mode == Read && introspected[r.Schema+"."+r.Name] //guard-true:R3/sql introspection-relation
}

func introspectedColumn(c *Column) bool {
	return introspected[c.Schema+"."+c.Table] && !hidden[c.Schema+"."+c.Table+"."+c.Name] //guard-true:R3/sql introspection-column
}

// introspects reports whether s reads nothing but what is introspection.
func (s *Statement) introspects() bool {
	for i := range s.Relations {
		if !introspectedRelation(&s.Relations[i]) {
			return false
		}
	}
	for i := range s.Reads {
		if !introspectedColumn(&s.Reads[i]) {
			return false
		}
	}
	return true
}

// introspectionCalls reports whether introspection has a function's signature or a
// type. If the statement does nothing else, the functions of the provided lists that
// take and return values are among them: beside other tables they could pack rows
// past a bound.
func introspectionCalls(name string, nothingElse bool) bool {
	name, _, _ = strings.Cut(name, "(")
	if introspecting[name] || informationSchema[name] {
		return true
	}
	return nothingElse && (provided["scalar"][name] || provided["aggregates"][name] || provided["packing"][name] || provided["sets"][name]) //guard-true:R3/sql introspection-alone
}
