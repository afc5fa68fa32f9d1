"""Policies: what the files in `policies/` say, and what follows for a caller, a function and a row.

    file  →  yaml_nodes → reading → rule_reader, roles      loader puts them together: a PolicySet
    when: →  lexer → parser → checker → normal_form → closure (with guards), and db/policy_sql.py
    call  →  PolicySet.function_decision(…) → FunctionDecision.decide(row …), compiled by rows → Decision
    why   →  explanation, which asks the same closures node by node

Pure: no Flask, no SQLAlchemy, no HTTP. Three truth values throughout: an allow rule needs "definitely
true", a deny rule fires unless "definitely false".
"""
