"""Makes app/localhub/github.graphql, the part of GitHub's schema that we use, from npm's ``@octokit/graphql-schema``.

Run ``npm pack @octokit/graphql-schema@15.26.1``, unpack it, and give this script ``package/schema.graphql``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    print_schema,
)

OUR_FIELDS = {
    "Query": "id node",
    "Mutation": "resolveReviewThread unresolveReviewThread",
    "Node": "id",
    "PageInfo": "endCursor hasNextPage hasPreviousPage startCursor",
    "PullRequest": "id number reviewThreads",
    "PullRequestReviewThread": "comments id isCollapsed isOutdated isResolved resolvedBy",
    "PullRequestReviewThreadConnection": "nodes pageInfo totalCount",
    "PullRequestReviewComment": "body databaseId fullDatabaseId id path",
    "PullRequestReviewCommentConnection": "nodes pageInfo totalCount",
    "User": "id login",
    "ResolveReviewThreadPayload": "clientMutationId thread",
    "UnresolveReviewThreadPayload": "clientMutationId thread",
}
HEAD = """# Part of GitHub's public GraphQL schema, from npm's @octokit/graphql-schema 15.26.1 (MIT licence).
# Made by tests/openapi/prune_graphql.py; do not edit.

"""


def prune(whole: GraphQLSchema) -> GraphQLSchema:
    """The schema with our fields alone, and the types that these and their arguments name."""
    types = whole.type_map
    kept = set(OUR_FIELDS)
    for name, words in OUR_FIELDS.items():
        found = types[name]
        fields = found.fields  # type: ignore[attr-defined]
        found.fields = {word: fields[word] for word in words.split()}  # type: ignore[attr-defined]
        if isinstance(found, GraphQLObjectType):
            found.interfaces = tuple(each for each in found.interfaces if each.name in OUR_FIELDS)
        for field in found.fields.values():  # type: ignore[attr-defined]
            kept.add(get_named_type(field.type).name)
            kept |= {get_named_type(argument.type).name for argument in field.args.values()}
    for name in list(kept):
        if isinstance(found := types[name], GraphQLInputObjectType):
            kept |= {get_named_type(field.type).name for field in found.fields.values()}
    settings = whole.to_kwargs()
    settings["types"] = tuple(types[name] for name in sorted(kept))
    settings["subscription"] = None
    settings["directives"] = ()
    return GraphQLSchema(**settings)


def bare(text: str) -> str:
    """Without descriptions, which no validation reads."""
    lines = re.sub(r'^ *""".*?"""\n', "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\n{2,}( +)", r"\n\1", re.sub(r"\n{3,}", "\n\n", lines)).strip() + "\n"


def main(source: str) -> None:
    """Write github.graphql. ``source``: the path of the whole schema."""
    pruned = prune(build_schema(Path(source).read_text(), assume_valid=True))
    for found in pruned.type_map.values():
        if isinstance(found, GraphQLEnumType | GraphQLInputObjectType | GraphQLObjectType):
            found.description = None
    where = Path(__file__).parents[2] / "app" / "localhub" / "github.graphql"
    where.write_text(HEAD + bare(print_schema(pruned)))


if __name__ == "__main__":
    main(sys.argv[1])
