"""The languages a map can read: their file endings, their grammars, and what in them is a definition or a use."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from functools import cache

# Captures: @name is a definition's name; @type, @function and @value are the whole of it.
_PYTHON = """
(class_definition name: (identifier) @name) @type
(function_definition name: (identifier) @name) @function
(type_alias_statement left: (type (identifier) @name)) @type
(module (expression_statement (assignment left: (identifier) @name) @value))
"""
_JAVASCRIPT = """
(class_declaration name: (_) @name) @type
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(method_definition name: (property_identifier) @name) @function
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @function
(field_definition property: (property_identifier) @name value: (arrow_function)) @function
(program (lexical_declaration (variable_declarator name: (identifier) @name) @value))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @value)))
"""
_TYPESCRIPT = """
(class_declaration name: (type_identifier) @name) @type
(abstract_class_declaration name: (type_identifier) @name) @type
(interface_declaration name: (type_identifier) @name) @type
(type_alias_declaration name: (type_identifier) @name) @type
(enum_declaration name: (identifier) @name) @type
(internal_module name: (identifier) @name) @type
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(function_signature name: (identifier) @name) @function
(method_definition name: (property_identifier) @name) @function
(abstract_method_signature name: (property_identifier) @name) @function
(method_signature name: (property_identifier) @name) @function
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @function
(public_field_definition name: (property_identifier) @name value: (arrow_function)) @function
(program (lexical_declaration (variable_declarator name: (identifier) @name) @value))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @value)))
"""
_GO = """
(type_spec name: (type_identifier) @name) @type
(type_alias name: (type_identifier) @name) @type
(function_declaration name: (identifier) @name) @function
(method_declaration name: (field_identifier) @name) @function
(method_elem name: (field_identifier) @name) @function
(source_file (const_declaration (const_spec name: (identifier) @name) @value))
(source_file (var_declaration (var_spec name: (identifier) @name) @value))
"""
_RUST = """
[(struct_item name: (type_identifier) @name) (enum_item name: (type_identifier) @name)
 (union_item name: (type_identifier) @name) (trait_item name: (type_identifier) @name)
 (type_item name: (type_identifier) @name)] @type
(mod_item name: (identifier) @name body: (_)) @type
(impl_item type: (type_identifier) @name) @type
(function_item name: (identifier) @name) @function
(function_signature_item name: (identifier) @name) @function
(macro_definition name: (identifier) @name) @function
(const_item name: (identifier) @name) @value
(static_item name: (identifier) @name) @value
"""
_JAVA = """
[(class_declaration name: (identifier) @name) (interface_declaration name: (identifier) @name)
 (enum_declaration name: (identifier) @name) (record_declaration name: (identifier) @name)
 (annotation_type_declaration name: (identifier) @name)] @type
(method_declaration name: (identifier) @name) @function
(constructor_declaration name: (identifier) @name) @function
"""
_C = """
[(struct_specifier name: (type_identifier) @name body: (_)) (union_specifier name: (type_identifier) @name body: (_))
 (enum_specifier name: (type_identifier) @name body: (_))] @type
(type_definition declarator: (type_identifier) @name) @type
(function_definition declarator: (function_declarator declarator: (identifier) @name)) @function
(function_definition
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @function
(declaration
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @function
(preproc_function_def name: (identifier) @name) @function
(preproc_def name: (identifier) @name) @value
"""
_CPP = (
    _C
    + """
(class_specifier name: (type_identifier) @name body: (_)) @type
(namespace_definition name: (namespace_identifier) @name) @type
(alias_declaration name: (type_identifier) @name) @type
(function_definition declarator: (function_declarator declarator: (field_identifier) @name)) @function
(function_definition
  declarator: (function_declarator declarator: (qualified_identifier name: (identifier) @name))) @function
(function_definition declarator: (function_declarator
  declarator: (qualified_identifier name: (qualified_identifier name: (identifier) @name)))) @function
(function_definition
  declarator: (reference_declarator (function_declarator declarator: (_) @name))) @function
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name)) @function
"""
)
_RUBY = """
(class name: (constant) @name) @type
(class name: (scope_resolution name: (constant) @name)) @type
(module name: (constant) @name) @type
(module name: (scope_resolution name: (constant) @name)) @type
(method name: (_) @name) @function
(singleton_method name: (_) @name) @function
(assignment left: (constant) @name) @value
"""
_PHP = """
[(class_declaration name: (name) @name) (interface_declaration name: (name) @name)
 (trait_declaration name: (name) @name) (enum_declaration name: (name) @name)] @type
(function_definition name: (name) @name) @function
(method_declaration name: (name) @name) @function
(const_declaration (const_element (name) @name)) @value
"""
_C_SHARP = """
[(class_declaration name: (identifier) @name) (interface_declaration name: (identifier) @name)
 (struct_declaration name: (identifier) @name) (record_declaration name: (identifier) @name)
 (enum_declaration name: (identifier) @name) (delegate_declaration name: (identifier) @name)] @type
(method_declaration name: (identifier) @name) @function
(constructor_declaration name: (identifier) @name) @function
(property_declaration name: (identifier) @name) @value
"""


@dataclass(frozen=True)
class Language:
    """One grammar. Names are shared within a ``family``; a node of one of the kinds ``names`` is a use of its text.

    ``definitions`` is a query; ``loader`` is the function of ``package`` that gives the grammar.
    """

    family: str
    package: str
    definitions: str
    names: tuple[str, ...]
    endings: tuple[str, ...]
    loader: str = "language"


_FIELDS = ("identifier", "field_identifier", "type_identifier")
_PROPERTIES = ("identifier", "property_identifier", "shorthand_property_identifier")
LANGUAGES = {
    "python": Language("python", "tree_sitter_python", _PYTHON, ("identifier",), ("py", "pyi")),
    "javascript": Language(
        "javascript", "tree_sitter_javascript", _JAVASCRIPT, _PROPERTIES, ("js", "mjs", "cjs", "jsx")
    ),
    "typescript": Language(
        "javascript",
        "tree_sitter_typescript",
        _TYPESCRIPT,
        (*_PROPERTIES, "type_identifier"),
        ("ts", "mts", "cts"),
        "language_typescript",
    ),
    "tsx": Language(
        "javascript",
        "tree_sitter_typescript",
        _TYPESCRIPT,
        (*_PROPERTIES, "type_identifier"),
        ("tsx",),
        "language_tsx",
    ),
    "go": Language("go", "tree_sitter_go", _GO, _FIELDS, ("go",)),
    "rust": Language("rust", "tree_sitter_rust", _RUST, _FIELDS, ("rs",)),
    "java": Language("java", "tree_sitter_java", _JAVA, ("identifier", "type_identifier"), ("java",)),
    "c": Language("c", "tree_sitter_c", _C, _FIELDS, ("c",)),
    # Headers of C are nearly all C++ too; headers of C++ are not C.
    "cpp": Language(
        "c",
        "tree_sitter_cpp",
        _CPP,
        (*_FIELDS, "namespace_identifier"),
        ("cc", "cpp", "cxx", "h", "hh", "hpp", "hxx"),
    ),
    "ruby": Language("ruby", "tree_sitter_ruby", _RUBY, ("identifier", "constant"), ("rb", "rake")),
    "php": Language("php", "tree_sitter_php", _PHP, ("name",), ("php",), "language_php"),
    "c_sharp": Language("c_sharp", "tree_sitter_c_sharp", _C_SHARP, ("identifier",), ("cs",)),
}
_BY_ENDING = {ending: name for name, language in LANGUAGES.items() for ending in language.endings}


def language_of(path: str) -> str | None:
    """The key in LANGUAGES for a path, by its ending; None when no grammar reads it."""
    _, dot, ending = path.rpartition(".")
    return _BY_ENDING.get(ending.lower()) if dot else None


@cache
def grammar_versions() -> str:
    """The installed versions of tree-sitter and of every grammar, in one line: a cache is good for these alone."""
    packages = sorted({language.package for language in LANGUAGES.values()} | {"tree_sitter"})
    return " ".join(f"{package}={importlib.metadata.version(package)}" for package in packages)
